import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const clients = new URL("../clients/typescript/", import.meta.url).pathname;

// Everything comes from this server: no inline script or style, no file turned into a data URL, no source maps in the binary.
export default defineConfig({
  plugins: [react()],
  resolve: {
    dedupe: ["convex", "react", "react-dom"],
    alias: { "chatroom-api": `${clients}api.ts` },
  },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The directory is there in every clone; scripts/web empties it.
    emptyOutDir: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
    sourcemap: false,
  },
});
