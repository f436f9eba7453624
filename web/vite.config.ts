import { defineConfig } from "vitest/config";

// `npm run dev` serves the pages and hands everything else to a running `marquee up`.
const server = process.env["MARQUEE_ADDRESS"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: { target: "es2022", sourcemap: false, chunkSizeWarningLimit: 700 },
  server: {
    host: "127.0.0.1",
    proxy: {
      "^/(marquee\\.|v1/|live/|recordings/|\\.well-known/)": server,
    },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
