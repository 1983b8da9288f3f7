import { ConvexProvider } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { client, start } from "./data/client";
import { startLooking } from "./data/liveness";
import "./style.css";
import { applyTheme } from "./theme";

applyTheme();
start();
startLooking();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <ConvexProvider client={client}>
        <App />
      </ConvexProvider>
    </StrictMode>,
  );
}
