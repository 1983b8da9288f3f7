import { Copyable } from "../ui/basic";

export function SignedOut() {
  return (
    <main className="alone">
      <h1>You are not signed in</h1>
      <p>This page signs in by a link that works once. On a machine where you are signed in, make one:</p>
      <p>
        <Copyable text="chatroom auth link" />
      </p>
      <p className="note">
        <code>chatroom up</code> prints such a link at each start. Where only the server runs, <code>chatroom server --sign-in-link</code> does.
      </p>
    </main>
  );
}
