// A permission request with its answers, the same wherever it stands.

import { api, type Choice, type Permission } from "../data/api";
import { call, useAct } from "../data/live";
import { exact, shortPath } from "../text";
import { CHOICES, KINDS } from "../words";
import { Age, Button, Mark, Name, Problem } from "./basic";
import { Menu } from "./overlay";

const ORDER: Choice[] = ["allow_once", "allow_always", "reject_once", "reject_always"];

/** What may be answered. A no is always one: a request without such an answer is cancelled by it. */
export function answersOf(permission: Pick<Permission, "options">): Choice[] {
  const offered = new Set(permission.options.map((option) => option.kind));
  if (!offered.has("reject_once") && !offered.has("reject_always")) offered.add("reject_once");
  return ORDER.filter((choice) => offered.has(choice));
}

export function answer(permission: Permission, choice: Choice): Promise<unknown> {
  return call(api.permissions.answer, { permissionId: permission.permissionId, choice });
}

/** The longest part of a command that a rule may be about: words without meaning to a shell. */
export function ruleFor(command: string | undefined): string | null {
  if (command === undefined || /[;&|<>$`(){}[\]*?~#!\\\n\r\0]/.test(command)) return null;
  const words = command.trim().split(/\s+/).slice(0, 2);
  return words.length === 0 || words[0] === "" ? null : words.filter((word, index) => index === 0 || !word.startsWith("-")).join(" ");
}

export function PermissionCard({ permission, where }: { permission: Permission; where?: string | undefined }) {
  const act = useAct();
  const rule = ruleFor(permission.command);
  const answers = answersOf(permission);
  const remember = (allow: boolean, matches: { match: "command"; command: string } | { match: "kind"; toolKind: Permission["toolKind"] }) =>
    void act.run(() =>
      call(api.permissions.addRule, { chatroomId: permission.chatroomId, role: permission.role, allow, ...matches }),
    );
  return (
    <section className="permission" aria-label={`${permission.role} asks for a permission`}>
      <p className="permission-what">
        <Mark tone="ask" />
        <span>
          <b>
            <Name>{permission.role}</Name>
          </b>
          {where && (
            <>
              {" in "}
              <Name>{where}</Name>
            </>
          )}{" "}
          wants to {KINDS[permission.toolKind]}
          {permission.command === undefined && (
            <>
              : <span dir="auto">{exact(permission.title)}</span>
            </>
          )}
        </span>
        <Age at={permission.askedAt} suffix=" ago" />
      </p>
      {permission.command !== undefined && (
        <pre className="permission-command" tabIndex={0}>
          <code>{exact(permission.command)}</code>
        </pre>
      )}
      {permission.paths !== undefined && permission.paths.length > 0 && (
        <ul className="paths">
          {permission.paths.slice(0, 10).map((path) => (
            <li key={path}>
              <bdi>{shortPath(path)}</bdi>
            </li>
          ))}
          {permission.paths.length > 10 && <li>and {permission.paths.length - 10} more</li>}
        </ul>
      )}
      {permission.state === "pending" ? (
        <div className="answers">
          {answers.map((choice) => (
            <Button key={choice} look={choice === "allow_once" ? "main" : "plain"} act={act} onClick={() => void act.run(() => answer(permission, choice))}>
              {CHOICES[choice]}
            </Button>
          ))}
          <Menu
            label="More answers"
            items={[
              ...(rule === null
                ? []
                : [
                    { label: `Always allow “${rule} …” to ${permission.role}`, onSelect: () => remember(true, { match: "command", command: rule }) },
                    { label: `Always refuse “${rule} …” to ${permission.role}`, onSelect: () => remember(false, { match: "command", command: rule }) },
                  ]),
              {
                label: `Always let ${permission.role} ${KINDS[permission.toolKind]}`,
                onSelect: () => remember(true, { match: "kind", toolKind: permission.toolKind }),
              },
            ]}
          />
        </div>
      ) : (
        <p className="note">{permission.state === "answered" ? `Answered: ${CHOICES[permission.choice]}` : "Nobody waits for an answer any more."}</p>
      )}
      <Problem error={act.error} />
    </section>
  );
}

