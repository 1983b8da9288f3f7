// One's own password: set, change, remove.

import { type ReactNode, useEffect, useState } from "react";
import { type Refused, refusal, useAct } from "../data/live";
import { LONGEST, type PasswordState, readPassword, removePassword, setPassword, SHORTEST } from "../data/password";
import { useWorld } from "../data/world";
import { Age, Button, Excess, Field, Loading, Name, Problem } from "../ui/basic";
import { Dialog } from "../ui/overlay";

export function Password() {
  const { userName } = useWorld();
  const [state, setState] = useState<PasswordState>();
  const [error, setError] = useState<Refused>();
  const [done, setDone] = useState("");
  const [isRemoving, setRemoving] = useState(false);
  const read = (): void => void readPassword().then(setState, (why: unknown) => setError(refusal(why)));
  useEffect(read, []);
  const change = async (changed: Promise<PasswordState>, words: string): Promise<void> => {
    try {
      setState(await changed);
      setDone(words);
    } catch (why) {
      // What was asked for may be asked for otherwise by now: the half hour after a link has passed, or it was changed elsewhere.
      read();
      throw why;
    }
  };
  return (
    <section className="card" aria-label="Password">
      <h2>Password</h2>
      <Problem error={error} />
      {state === undefined && !error && <Loading what="Reading…" />}
      {state && (
        <>
          <p>
            {state.setAt === undefined ? (
              <>
                With a password you can sign in as <Name>{userName}</Name> where no link is at hand.
              </>
            ) : (
              <>
                You can sign in as <Name>{userName}</Name> with a password, set <Age at={state.setAt} suffix=" ago" />.
              </>
            )}
          </p>
          <NewPassword
            key={state.setAt ?? 0}
            state={state}
            onSet={(password, current) =>
              change(setPassword(password, current), state.setAt === undefined ? "The password is set." : "The password is changed; your other browsers are signed out.")
            }
          >
            {state.setAt !== undefined && (
              <Button
                onClick={() => {
                  setDone("");
                  setRemoving(true);
                }}
              >
                Remove…
              </Button>
            )}
          </NewPassword>
          <Dialog title="Remove the password?" isOpen={isRemoving} onClose={() => setRemoving(false)} className="confirm">
            <Removal
              state={state}
              onRemove={async (current) => {
                await change(removePassword(current), "The password is removed; your other browsers are signed out.");
                setRemoving(false);
              }}
              onKeep={() => setRemoving(false)}
            />
          </Dialog>
        </>
      )}
      <p role="status" className="note">
        {done}
      </p>
    </section>
  );
}

type NewPasswordProps = { state: PasswordState; onSet: (password: string, current: string | undefined) => Promise<void>; children: ReactNode };

function NewPassword({ state, onSet, children }: NewPasswordProps) {
  const { userName } = useWorld();
  const [password, setPassword] = useState("");
  const [current, setCurrent] = useState("");
  const [isShown, setShown] = useState(false);
  const act = useAct();
  const verb = state.setAt === undefined ? "Set password" : "Change password";
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void act.run(() => onSet(password, state.needsCurrent ? current : undefined));
      }}
    >
      {/* For those who keep passwords: whose it is. */}
      <input hidden readOnly name="name" autoComplete="username" value={userName} />
      <div className="two">
        {state.needsCurrent && <Current value={current} onChange={setCurrent} />}
        <Field label="New password" note={<PasswordNote text={password} />}>
          <input
            value={password}
            type={isShown ? "text" : "password"}
            name="new-password"
            autoComplete="new-password"
            minLength={SHORTEST}
            spellCheck={false}
            autoCapitalize="none"
            required
            onChange={(event) => setPassword(event.target.value)}
          />
        </Field>
      </div>
      <label className="check">
        <input type="checkbox" checked={isShown} onChange={(event) => setShown(event.target.checked)} /> show what I type
      </label>
      {state.setAt !== undefined && <p className="note">A change signs your other browsers out. Command lines, tokens and machines stay as they are.</p>}
      <Problem error={act.error} />
      <footer>
        {children}
        <Button type="submit" act={act}>
          {verb}
        </Button>
      </footer>
    </form>
  );
}

type RemovalProps = { state: PasswordState; onRemove: (current: string | undefined) => Promise<void>; onKeep: () => void };

function Removal({ state, onRemove, onKeep }: RemovalProps) {
  const [current, setCurrent] = useState("");
  const act = useAct();
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void act.run(() => onRemove(state.needsCurrent ? current : undefined));
      }}
    >
      <p>Links alone sign you in then, and your other browsers are signed out.</p>
      {state.needsCurrent && <Current value={current} onChange={setCurrent} />}
      <Problem error={act.error} />
      <footer>
        <Button local onClick={onKeep}>
          Keep
        </Button>
        <Button look="danger" type="submit" act={act}>
          Remove
        </Button>
      </footer>
    </form>
  );
}

function Current({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <Field label="Current password" note="Forgotten? Sign in here by a link: for half an hour after that it is not asked for.">
      <input value={value} type="password" name="password" autoComplete="current-password" required onChange={(event) => onChange(event.target.value)} />
    </Field>
  );
}

const PasswordNote = ({ text }: { text: string }) =>
  text.length > LONGEST ? <Excess text={text} most={LONGEST} /> : <>At least {SHORTEST} characters. Several words are easy to remember and hard to guess.</>;
