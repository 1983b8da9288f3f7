// Everything that waits for the person, across rooms and machines; answered in place, by mouse or keys.

import { useCallback, useEffect, useRef, useState } from "react";
import { api } from "../data/api";
import { call, newKey, useAct } from "../data/live";
import { knowSignIn } from "../data/sign-ins";
import { type InboxItem, useWorld } from "../data/world";
import { isTaken } from "../keys";
import { titleOf } from "../notify";
import { go, Link, to } from "../route";
import { exact, sentence, shorten } from "../text";
import { Age, Button, Empty, Loading, Mark, Name, Problem, Repair, useNow } from "../ui/basic";
import { Markdown } from "../ui/markdown";
import { answer, answersOf, PermissionCard } from "../ui/permission";
import { isActive, lastEnd, machineOf, nextStart, troubleOf } from "../words";
import { repairOf, tryAgain } from "./room-team";

export function Inbox() {
  const { inbox, rooms, machines } = useWorld();
  const [chosenKey, setChosen] = useState<string | null>(null);
  const act = useAct();
  const list = useRef<HTMLOListElement>(null);
  // Keys act on what is seen to be chosen, on nothing else: when that is gone, the next one has to be chosen first.
  const at = inbox.findIndex((item) => item.key === chosenKey);
  const chosen = inbox[at];
  const place = useRef(0);
  if (at >= 0) place.current = at;

  const move = useCallback(
    (to: number) => {
      const item = inbox[Math.min(inbox.length - 1, Math.max(0, to))];
      if (item === undefined) return;
      setChosen(item.key);
      const element = list.current?.children[inbox.indexOf(item)];
      if (element instanceof HTMLElement) element.focus();
    },
    [inbox],
  );
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (isTaken(event)) return;
      const isOnButton = event.target instanceof HTMLElement && event.target.closest("button, a") !== null;
      if (event.key === "j") move(at < 0 ? place.current : at + 1);
      else if (event.key === "k") move(at < 0 ? place.current - 1 : at - 1);
      else if (chosen === undefined) return;
      else if (event.key === "Enter" && !isOnButton) go(placeOf(chosen));
      else if (event.key === "a" || event.key === "d") {
        const deed = deedsOf(chosen)[event.key === "a" ? "yes" : "no"];
        if (deed) void act.run(deed.run);
      } else return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [move, at, chosen, act]);

  return (
    <main id="main" className="page inbox">
      <header className="page-head">
        <h1>Inbox</h1>
        {inbox.length > 0 && (
          <p className="note keys">
            <kbd>j</kbd> <kbd>k</kbd> move · <kbd>Enter</kbd> open · <kbd>a</kbd> allow or accept · <kbd>d</kbd> refuse or put away
          </p>
        )}
      </header>
      <Problem error={act.error} />
      {rooms === undefined ? (
        <Loading what="Reading what waits for you…" />
      ) : inbox.length === 0 ? (
        <Empty title="Nothing waits for you">
          <p>Questions of agents, answers that come back to you, and starts that failed appear here.</p>
          {rooms.length === 0 ? (
            <p>
              <Link className="button main" href="/start">
                Start a first agent
              </Link>
            </p>
          ) : (
            <p>
              <Link href={to("rooms", rooms[0]?.chatroomId ?? "")}>Go to {exact(rooms[0]?.name ?? "")}</Link>
            </p>
          )}
          {machines?.length === 0 && <p className="note">No machine is registered yet.</p>}
        </Empty>
      ) : (
        <ol ref={list} className="inbox-list">
          {inbox.map((item) => (
            <li
              key={item.key}
              tabIndex={-1}
              className={item.key === chosenKey ? "inbox-item chosen" : "inbox-item"}
              aria-current={item.key === chosenKey ? "true" : undefined}
              onFocus={() => setChosen(item.key)}
            >
              <Item item={item} />
            </li>
          ))}
        </ol>
      )}
    </main>
  );
}

const placeOf = (item: InboxItem): string =>
  item.kind === "sign_in"
    ? "/settings"
    : item.kind === "machine"
    ? to("machines", item.machine.machineId)
    : item.kind === "permission"
    ? to("agents", item.permission.agentId)
    : item.kind === "needs_you" && item.status.agent
      ? to("agents", item.status.agent.agentId)
      : to("rooms", item.room?.chatroomId ?? "");

type Deed = { label: string; run: () => Promise<unknown> };

function deedsOf(item: InboxItem): { yes?: Deed; no?: Deed } {
  switch (item.kind) {
    case "permission": {
      const answers = answersOf(item.permission);
      const no = answers.find((choice) => choice.startsWith("reject")) ?? "reject_once";
      const refuse = { label: "Refuse", run: () => answer(item.permission, no) };
      // Only the narrow yes has a key.
      return answers.includes("allow_once") ? { yes: { label: "Allow once", run: () => answer(item.permission, "allow_once") }, no: refuse } : { no: refuse };
    }
    case "returned": {
      const run = () => call(api.messages.markSeen, { chatroomId: item.message.chatroomId, upTo: item.message.sequence });
      return { yes: { label: "Seen", run }, no: { label: "Seen", run } };
    }
    case "sign_in":
      return {
        yes: { label: "I know it", run: async () => knowSignIn(item.user, item.credential) },
        no: { label: "Revoke it", run: () => call(api.auth.revokeCredential, { credentialId: item.credential.credentialId }) },
      };
    case "machine":
      return {};
    case "needs_you": {
      const agent = item.status.agent;
      return agent && troubleOf(agent) ? { yes: { label: "Try again", run: () => tryAgain(agent) } } : {};
    }
    case "crashed":
    case "failed": {
      const machineId = machineOf(item.status);
      if (machineId === undefined || item.room === undefined) return {};
      const payload = { chatroomId: item.room.chatroomId, role: item.status.role };
      const send = (type: "start-agent" | "stop-agent") => () => call(api.machines.sendCommand, { machineId, type, payload, idempotencyKey: newKey() });
      return { yes: { label: "Start again", run: send("start-agent") }, no: { label: "Leave it stopped", run: send("stop-agent") } };
    }
  }
}

function Item({ item }: { item: InboxItem }) {
  const now = useNow();
  const act = useAct();
  const { yes, no } = deedsOf(item);
  if (item.kind === "permission") return <PermissionCard permission={item.permission} where={item.room?.name} />;
  if (item.kind === "sign_in") return <SignIn item={item} />;
  if (item.kind === "machine") return <LostMachine item={item} />;
  const room = item.room;
  const repair = item.kind === "needs_you" || item.kind === "failed" ? repairOf(item) : undefined;
  return (
    <section aria-label={titleOf(item)}>
      <p className="item-head">
        <Mark tone={item.kind === "needs_you" ? "ask" : item.kind === "returned" ? "good" : "bad"} />
        <span>
          <b>
            <Name>{item.kind === "returned" ? item.message.senderRole : item.status.role}</Name>
          </b>
          {room && (
            <>
              {" in "}
              <Link href={to("rooms", room.chatroomId)}>
                <Name>{room.name}</Name>
              </Link>
            </>
          )}
          {{ returned: " has answered you", needs_you: " needs you", crashed: " has crashed", failed: " does not run" }[item.kind]}
        </span>
        <Age at={item.at} suffix=" ago" />
      </p>
      {item.kind === "returned" ? (
        <div className="item-text">
          <Markdown text={shorten(item.message.content, 1200)} />
        </div>
      ) : item.kind === "crashed" ? (
        <p className="item-text">
          {sentence(lastEnd(item.status)?.how ?? "")} {nextStart(item.status, now)}
        </p>
      ) : (
        <div className="item-text">
          {exact(sentence(item.what))}
          {repair !== undefined && <Repair text={repair} />}
        </div>
      )}
      <div className="answers">
        <Link className="button main" href={placeOf(item)}>
          {item.kind === "needs_you" ? "Look" : "Open"}
        </Link>
        {yes && (
          <Button act={act} onClick={() => void act.run(yes.run)}>
            {yes.label}
          </Button>
        )}
        {no && no.label !== yes?.label && (
          <Button act={act} onClick={() => void act.run(no.run)}>
            {no.label}
          </Button>
        )}
      </div>
      <Problem error={act.error} />
    </section>
  );
}

function LostMachine({ item }: { item: Extract<InboxItem, { kind: "machine" }> }) {
  const blocked = item.roles.map(({ status }) => status.blocked).find((one) => one?.by === "machine");
  return (
    <section aria-label={titleOf(item)}>
      <p className="item-head">
        <Mark tone="bad" />
        <span>
          <b>
            <Name>{item.machine.name}</Name>
          </b>{" "}
          is not connected
        </span>
        <Age at={item.at} suffix=" ago" />
      </p>
      <div className="item-text">
        {blocked && !blocked.message.endsWith("is not connected") && <p>{exact(sentence(blocked.message))}</p>}
        <ul>
          {item.roles.map(({ room, status }) => (
            <li key={`${room.chatroomId} ${status.role}`}>
              <Name>{status.role}</Name> in{" "}
              <Link href={to("rooms", room.chatroomId)}>
                <Name>{room.name}</Name>
              </Link>
              {isActive(status.agent) ? ": what its agent does is not known" : ": waits for it"}
            </li>
          ))}
        </ul>
        {blocked?.repair !== undefined && <Repair text={blocked.repair} />}
      </div>
      <div className="answers">
        <Link className="button main" href={placeOf(item)}>
          Open
        </Link>
      </div>
    </section>
  );
}

const LOGINS: Record<string, string> = { browser: "a browser", cli: "a command line", script: "a token for scripts" };

function SignIn({ item }: { item: Extract<InboxItem, { kind: "sign_in" }> }) {
  const act = useAct();
  const { yes, no } = deedsOf(item);
  const { credential } = item;
  return (
    <section aria-label={titleOf(item)}>
      <p className="item-head">
        <Mark tone="ask" />
        <span>
          <b>A new login</b> can act as you: {LOGINS[credential.kind] ?? exact(credential.kind)}
          {credential.name !== credential.kind && (
            <>
              , <Name>{credential.name}</Name>
            </>
          )}
          {credential.scope === "read" && ", reading only"}
        </span>
        <Age at={item.at} suffix=" ago" />
      </p>
      <div className="answers">
        {[yes, no].map(
          (deed, index) =>
            deed && (
              <Button key={deed.label} look={index === 0 ? "main" : "plain"} act={act} onClick={() => void act.run(deed.run)}>
                {deed.label}
              </Button>
            ),
        )}
      </div>
      <Problem error={act.error} />
    </section>
  );
}
