// An Azure Blob server (Azurite, whose folder is the first argument) on a free loopback port with one empty container, named `bucket`.
// Prints its address and serves until it is ended or its standard input closes: nothing is kept on the disk.

import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { createServer } from "node:net";
import { join } from "node:path";

const ACCOUNT = "devstoreaccount1";
// The emulator's own key, which is public: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
const KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const port = await new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
        const { port } = probe.address();
        probe.close(() => resolve(port));
    });
});
const address = `http://127.0.0.1:${port}`;
const program = join(process.argv[2], "node_modules/azurite/dist/src/blob/main.js");
const flags = ["--blobHost", "127.0.0.1", "--blobPort", `${port}`, "--inMemoryPersistence", "--disableTelemetry", "--silent"];
const server = spawn(process.execPath, [program, ...flags, "--skipApiVersionCheck"], { stdio: "ignore" });
server.on("exit", (code) => process.exit(code ?? 1));
for (const end of ["SIGTERM", "SIGINT"]) process.on(end, () => server.kill("SIGKILL"));
process.stdin.on("end", () => server.kill("SIGKILL")).resume();

async function createContainer() {
    const date = new Date().toUTCString();
    const named = `x-ms-date:${date}\nx-ms-version:2021-12-02\n/${ACCOUNT}/${ACCOUNT}/bucket\nrestype:container`;
    const signature = createHmac("sha256", Buffer.from(KEY, "base64")).update(`PUT${"\n".repeat(12)}${named}`).digest("base64");
    const headers = { "x-ms-date": date, "x-ms-version": "2021-12-02", Authorization: `SharedKey ${ACCOUNT}:${signature}` };
    return fetch(`${address}/${ACCOUNT}/bucket?restype=container`, { method: "PUT", headers });
}

// It listens a moment after it was started.
for (;;) {
    try {
        const answer = await createContainer();
        if (answer.status !== 201) throw Object.assign(new Error(`${answer.status} ${await answer.text()}`), { isAnswer: true });
        break;
    } catch (error) {
        if (error.isAnswer) {
            console.error(error.message);
            server.kill("SIGKILL");
            break;
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}
console.log(address);
