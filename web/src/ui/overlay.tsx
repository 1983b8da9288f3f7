// Dialogs and menus.

import { Dialog as BaseDialog } from "@base-ui/react/dialog";
import { Menu as BaseMenu } from "@base-ui/react/menu";
import { type ReactNode, useContext, useRef } from "react";
import type { Act } from "../data/live";
import { Button, Disabled, Problem } from "./basic";

export function Dialog(props: { title: string; isOpen: boolean; onClose: () => void; children: ReactNode; className?: string }) {
  const popup = useRef<HTMLDivElement>(null);
  // What one came to do has the focus, not what closes it; under a finger no keyboard comes up by itself.
  const first = (by: string): HTMLElement | true =>
    (by !== "touch" && popup.current?.querySelector<HTMLElement>("[autofocus], input:not([hidden]), select, textarea, footer button")) || true;
  return (
    <BaseDialog.Root open={props.isOpen} onOpenChange={(isOpen) => !isOpen && props.onClose()}>
      <BaseDialog.Portal>
        <BaseDialog.Backdrop className="backdrop" />
        <BaseDialog.Popup ref={popup} initialFocus={first} className={`dialog ${props.className ?? ""}`}>
          <header>
            <BaseDialog.Title>{props.title}</BaseDialog.Title>
            <BaseDialog.Close className="button quiet" aria-label="Close">
              ✕
            </BaseDialog.Close>
          </header>
          {props.children}
        </BaseDialog.Popup>
      </BaseDialog.Portal>
    </BaseDialog.Root>
  );
}

/** Says what will happen, and asks once. */
export function Confirm(props: {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  children: ReactNode;
  verb: string;
  act: Act;
  onConfirm: () => Promise<unknown>;
}) {
  return (
    <Dialog title={props.title} isOpen={props.isOpen} onClose={props.onClose} className="confirm">
      {props.children}
      <Problem error={props.act.error} />
      <footer>
        <Button local onClick={props.onClose}>
          Keep
        </Button>
        <Button
          look="danger"
          act={props.act}
          onClick={() => void props.act.run(props.onConfirm).then((isDone) => isDone && props.onClose())}
        >
          {props.verb}
        </Button>
      </footer>
    </Dialog>
  );
}

export type MenuItem = {
  label: string;
  onSelect: () => void;
  isDanger?: boolean;
  disabled?: boolean;
  /** Works without the server: it only opens something. */
  isLocal?: boolean;
};

export function Menu({ label, items, children }: { label: string; items: MenuItem[]; children?: ReactNode }) {
  const reason = useContext(Disabled);
  return (
    <BaseMenu.Root>
      <BaseMenu.Trigger className="button quiet" aria-label={label}>
        {children ?? "⋯"}
      </BaseMenu.Trigger>
      <BaseMenu.Portal>
        <BaseMenu.Positioner sideOffset={4} align="end" className="menu-place">
          <BaseMenu.Popup className="menu">
            {items.map((item) => (
              <BaseMenu.Item
                key={item.label}
                className={`menu-item ${item.isDanger ? "danger" : ""}`}
                disabled={item.disabled === true || (reason !== null && !item.isLocal)}
                onClick={item.onSelect}
              >
                {item.label}
              </BaseMenu.Item>
            ))}
          </BaseMenu.Popup>
        </BaseMenu.Positioner>
      </BaseMenu.Portal>
    </BaseMenu.Root>
  );
}
