// The API page: shows /api/openapi.json and calls functions as the user of this browser session. The session's cookie is
// out of reach for script; it is traded for a token of ten minutes, which is kept in memory only.
"use strict";

(() => {
  const who = document.getElementById("who");
  const viewer = document.getElementById("viewer");
  const EARLY_MS = 60_000;
  let token = null;

  async function freshToken() {
    if (token !== null && token.expiresAt - EARLY_MS > Date.now()) return token.token;
    const response = await fetch("/api/session-token", { method: "POST", credentials: "same-origin" });
    token = response.ok ? await response.json() : null;
    who.textContent =
      token === null
        ? "Not signed in: functions that need a user will be refused. Open a link of `chatroom auth link` to sign in."
        : "Signed in. What you try here is done for real, as you.";
    return token?.token ?? null;
  }

  async function signed(request) {
    const url = new URL(request.url, location.href);
    if (url.origin !== location.origin || !url.pathname.startsWith("/api/run/")) return request;
    if (!request.headers.Authorization) {
      const bearer = await freshToken();
      if (bearer !== null) request.headers.Authorization = `Bearer ${bearer}`;
    }
    return request;
  }

  function withoutViewer() {
    const text = document.createElement("p");
    text.textContent =
      "This program was built without the viewer (`scripts/api-viewer`, which `make up` runs, needs npm). " +
      "The document is at /api/openapi.json; `chatroom api` lists and calls every function.";
    viewer.replaceChildren(text);
  }

  freshToken().catch(() => {
    who.textContent = "The server does not answer.";
  });
  if (typeof SwaggerUIBundle === "undefined") {
    withoutViewer();
    return;
  }
  SwaggerUIBundle({
    url: "/api/openapi.json",
    domNode: viewer,
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: 0,
    filter: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    requestInterceptor: signed,
    // The command line that the viewer shows is for copying: it shows no token.
    showMutatedRequest: false,
  });
})();
