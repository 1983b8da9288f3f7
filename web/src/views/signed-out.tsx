// Two ways in: a name with its password, or a link that works once.

import { useState } from "react";
import { useAct } from "../data/live";
import { signIn } from "../data/password";
import { Button, Copyable, Field, Problem } from "../ui/basic";

export function SignedOut() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const act = useAct();
  return (
    <main className="alone">
      <h1>You are not signed in</h1>
      <form
        className="stack card"
        onSubmit={(event) => {
          event.preventDefault();
          void act.run(() => signIn(name, password));
        }}
      >
        <Field label="Name">
          <input value={name} name="name" autoComplete="username" autoCapitalize="none" spellCheck={false} required onChange={(event) => setName(event.target.value)} />
        </Field>
        <Field label="Password">
          <input value={password} name="password" type="password" autoComplete="current-password" required onChange={(event) => setPassword(event.target.value)} />
        </Field>
        <Problem error={act.error} />
        <footer>
          <Button look="main" type="submit" act={act}>
            Sign in
          </Button>
        </footer>
      </form>
      <h2>No password yet, or forgotten?</h2>
      <p>A link signs a browser in to this server too, once; from then on that browser can act as you. On a machine where you are signed in, make one; then you can set a password in the settings:</p>
      <p>
        <Copyable text="chatroom auth link" />
      </p>
      <p className="note">
        <code>chatroom up</code> prints such a link at each start. Where only the server runs, <code>chatroom server --sign-in-link</code> does.
      </p>
    </main>
  );
}
