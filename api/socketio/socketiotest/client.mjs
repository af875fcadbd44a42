// Runs socket.io-client: reads commands as lines of JSON, and writes what happens to its
// sockets as lines of JSON.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();

const report = (name, what, more) =>
  process.stdout.write(JSON.stringify({ name, what, at: Date.now(), ...more }) + "\n");

const commands = {
  connect({ name, url, options }) {
    const socket = io(url, { forceNew: true, reconnection: false, ...options });
    const transport = () => socket.io.engine.transport.name;
    sockets.set(name, socket);
    socket.io.engine.on("upgrade", () => report(name, "upgrade", { transport: transport() }));
    socket.on("connect", () => report(name, "connect", { transport: transport() }));
    socket.on("connect_error", (e) => report(name, "connect_error", { message: e.message, data: e.data }));
    socket.on("disconnect", (reason) => report(name, "disconnect", { message: reason }));
    socket.onAny((event, ...args) => report(name, "event", { event, args }));
  },
  emit({ name, event, args = [] }) {
    sockets.get(name).timeout(20000).emit(event, ...args, (error, result) =>
      report(name, "ack", { message: error?.message, data: result }));
  },
  // pause stops reading from the websocket, like a client that hangs.
  pause({ name }) {
    sockets.get(name).io.engine.transport.ws._socket.pause();
    report(name, "paused");
  },
  resume({ name }) {
    sockets.get(name).io.engine.transport.ws._socket.resume();
  },
  close({ name }) {
    sockets.get(name).close();
  },
};

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
input.on("close", () => process.exit(0));
report("", "ready");
