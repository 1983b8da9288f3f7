// Who can act as you, what is answered for you, and how the page looks.

import { useState } from "react";
import { api, type Credential, type SignInLink, type TokenCreated } from "../data/api";
import { callOverHttp, isThisBrowser } from "../data/client";
import { call, useAct, useLive, useLiveEach } from "../data/live";
import { knowSignIn } from "../data/sign-ins";
import { useWorld } from "../data/world";
import { canNotify, setNotifications, wantsNotifications } from "../notify";
import { clockTime, exact, exactTime, excess, isOnThisMachine } from "../text";
import { applyTheme, type Theme, theme } from "../theme";
import { Age, Button, Copyable, Excess, Field, Loading, Mark, Name, Problem, useNow } from "../ui/basic";
import { Confirm } from "../ui/overlay";
import { KINDS } from "../words";
import { Password } from "./password";

export function Settings() {
  const { userName } = useWorld();
  return (
    <main id="main" className="page narrow">
      <header className="page-head">
        <h1>Settings</h1>
        <form method="post" action="/sign-out">
          <span className="note">
            signed in as <Name>{userName}</Name>{" "}
          </span>
          <button className="button">Sign out</button>
        </form>
      </header>
      <Looks />
      <Password />
      <Credentials />
      <NewSecrets />
      <Rules />
      <section className="card" aria-label="More">
        <h2>More</h2>
        <p>
          <a href="/device">Approve a machine’s login</a> · <a href="/api/docs">Try the API</a>
        </p>
      </section>
    </main>
  );
}

function Looks() {
  const [chosen, setChosen] = useState<Theme>(theme);
  const [notifies, setNotifies] = useState(wantsNotifications);
  const [isRefused, setRefused] = useState(false);
  return (
    <section className="card" aria-label="This browser">
      <h2>This browser</h2>
      <div className="two">
        <Field label="Colours">
          <select
            value={chosen}
            onChange={(event) => {
              const next = event.target.value as Theme;
              setChosen(next);
              applyTheme(next);
            }}
          >
            <option value="system">as the system has them</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </Field>
        <div className="field">
          <span className="label">Notifications</span>
          <label className="check">
            <input
              type="checkbox"
              checked={notifies}
              disabled={!canNotify()}
              onChange={(event) => {
                const wanted = event.target.checked;
                void setNotifications(wanted).then((isOn) => {
                  setNotifies(isOn);
                  setRefused(wanted && !isOn);
                });
              }}
            />{" "}
            when something waits for you and this page is not in front
          </label>
          {isRefused && <span className="note">Your browser does not let this page notify you: change it in the browser’s settings for this site.</span>}
        </div>
      </div>
    </section>
  );
}

const CREDENTIALS: Record<string, string> = {
  browser: "Browser",
  cli: "Command line",
  script: "Token for scripts",
  machine: "Machine",
  agent: "Agent",
};

function Credentials() {
  const credentials = useLive(api.auth.listCredentials, {});
  const [revoking, setRevoking] = useState<Credential | null>(null);
  const act = useAct();
  const now = useNow();
  const shown = (credentials.value ?? []).filter((credential) => CREDENTIALS[credential.kind] !== undefined);
  return (
    <section className="card" aria-label="Who can act as you">
      <h2>Who can act as you</h2>
      <Problem error={credentials.error} />
      {credentials.value === undefined && !credentials.error && <Loading what="Reading…" />}
      <ul className="credentials">
        {shown.map((credential) => (
          <li key={credential.credentialId}>
            <div>
              <b>{CREDENTIALS[credential.kind]}</b> {credential.name !== credential.kind && <Name>{credential.name}</Name>} {isThisBrowser(credential.credentialId) && <span className="badge">this one</span>} {credential.scope === "read" && <span className="badge">reads only</span>}
              <p className="note">
                since <Age at={credential.createdAt} />
                {isThisBrowser(credential.credentialId) && ", in use now"}
                {credential.lastUsedAt !== undefined && !isThisBrowser(credential.credentialId) && (
                  <>
                    , used <Age at={credential.lastUsedAt} suffix=" ago" />
                  </>
                )}
                {credential.expiresAt !== undefined && `, ends ${clockTime(credential.expiresAt, now)}`}
              </p>
            </div>
            <Button onClick={() => setRevoking(credential)} aria-label={`Revoke ${CREDENTIALS[credential.kind] ?? ""} ${credential.name}`}>
              Revoke
            </Button>
          </li>
        ))}
      </ul>
      <Confirm
        title="Revoke this?"
        isOpen={revoking !== null}
        onClose={() => {
          act.clear();
          setRevoking(null);
        }}
        verb="Revoke"
        act={act}
        onConfirm={() => call(api.auth.revokeCredential, { credentialId: revoking?.credentialId ?? "" })}
      >
        <p>
          {CREDENTIALS[revoking?.kind ?? ""] ?? ""} <Name>{revoking?.name ?? ""}</Name> can do nothing more from this moment, and its open connections are closed.
          {revoking?.kind === "machine" && " Its daemon stops working until the machine is signed in again; agents on it go on by themselves."}
          {isThisBrowser(revoking?.credentialId ?? "") && " It is this browser: you will be signed out."}
        </p>
      </Confirm>
    </section>
  );
}

/** So many characters the name of a token may have. */
const LONGEST_NAME = 200;

function NewSecrets() {
  const { userId } = useWorld();
  const [link, setLink] = useState<SignInLink | null>(null);
  const [token, setToken] = useState<TokenCreated | null>(null);
  const [name, setName] = useState("");
  const [days, setDays] = useState("30");
  const [scope, setScope] = useState<"full" | "read">("read");
  const act = useAct();
  const make = useAct();
  return (
    <section className="card" aria-label="Sign in elsewhere">
      <h2>Sign in elsewhere</h2>
      <p>
        <Button act={act} onClick={() => void act.run(async () => setLink(await callOverHttp<SignInLink>("auth.createSignInLink", {})))}>
          Make a sign-in link
        </Button>{" "}
        <span className="note">for another browser of yours, for example on your phone. It works once.</span>
      </p>
      {link && (
        <p>
          <Copyable text={link.url} /> <span className="note">until {exactTime(link.expiresAt)}</span>
          {isOnThisMachine(link.url) && (
            <span className="warn own-line">
              <Mark tone="ask" /> This address leads to this machine only. For a phone or another machine, start the server where it can be reached (--listen, --public-url), and make the link then.
            </span>
          )}
        </p>
      )}
      <Problem error={act.error} />
      <details>
        <summary>A token for scripts</summary>
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void make.run(async () => {
              // What one makes here oneself is no news.
              knowSignIn(userId, { kind: "script", name: name.trim() });
              setToken(await callOverHttp<TokenCreated>("auth.createToken", { name: name.trim(), scope, expiresInMs: Number(days) * 86_400_000 }));
              setName("");
            });
          }}
        >
          <div className="two">
            <Field label="What it is for" note={<Excess text={name} most={LONGEST_NAME} />}>
              <input value={name} required onChange={(event) => setName(event.target.value)} />
            </Field>
            <Field label="Ends after">
              <select value={days} onChange={(event) => setDays(event.target.value)}>
                <option value="1">a day</option>
                <option value="30">30 days</option>
                <option value="365">a year</option>
              </select>
            </Field>
          </div>
          <Field label="What it may do">
            <select value={scope} onChange={(event) => setScope(event.target.value === "full" ? "full" : "read")}>
              <option value="read">read only</option>
              <option value="full">everything that you may</option>
            </select>
          </Field>
          <Problem error={make.error} />
          <footer>
            <Button type="submit" act={make} disabled={name.trim() === "" || excess(name, LONGEST_NAME) > 0}>
              Make token
            </Button>
          </footer>
        </form>
        {token && (
          <p>
            <Copyable text={token.token} /> <span className="note">Shown this once.</span>
          </p>
        )}
      </details>
    </section>
  );
}

function Rules() {
  const { rooms } = useWorld();
  const ids = (rooms ?? []).slice(0, 40).map((room) => room.chatroomId);
  const rules = useLiveEach(api.permissions.listRules, ids, (chatroomId) => ({ chatroomId }));
  const act = useAct();
  const now = useNow();
  const all = (rooms ?? []).flatMap((room) => (rules.get(room.chatroomId)?.value ?? []).map((rule) => ({ room, rule })));
  return (
    <section className="card" aria-label="What is answered for you">
      <h2>What is answered for you</h2>
      {all.length === 0 && <p className="note">No rules. When an agent asks for a permission, the menu beside the answers makes one.</p>}
      <Problem error={act.error} />
      <ul className="credentials">
        {all.map(({ room, rule }) => (
          <li key={rule.ruleId}>
            <div>
              <b>{rule.allow ? "Allow" : "Refuse"}</b> {rule.match === "command" ? <code>{exact(rule.command)} …</code> : `to ${KINDS[rule.toolKind]}`}
              <p className="note">
                <Name>{room.name}</Name>, {rule.role === undefined ? "every role" : exact(rule.role)}
                {rule.until !== undefined && (rule.until > now ? `, until ${exactTime(rule.until)}` : ", has ended")}
              </p>
            </div>
            <Button act={act} onClick={() => void act.run(() => call(api.permissions.removeRule, { ruleId: rule.ruleId }))}>
              Remove
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
