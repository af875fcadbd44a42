// The real client of Socket.IO, driven by the lines of JSON that it reads, each a command,
// and telling in such lines what happens to its sockets.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();

const tell = (name, what, more) =>
  process.stdout.write(JSON.stringify({ name, what, at: Date.now(), ...more }) + "\n");

const commands = {
  connect({ name, url, options }) {
    const socket = io(url, { forceNew: true, reconnection: false, ...options });
    const transport = () => socket.io.engine.transport.name;
    sockets.set(name, socket);
    socket.io.engine.on("upgrade", () => tell(name, "upgrade", { transport: transport() }));
    socket.on("connect", () => tell(name, "connect", { transport: transport() }));
    socket.on("connect_error", (e) => tell(name, "connect_error", { message: e.message, data: e.data }));
    socket.on("disconnect", (reason) => tell(name, "disconnect", { message: reason }));
    socket.onAny((event, ...args) => tell(name, "event", { event, args }));
  },
  emit({ name, event, args = [] }) {
    sockets.get(name).timeout(20000).emit(event, ...args, (error, answer) =>
      tell(name, "ack", { message: error?.message, data: answer }));
  },
  // pause has the client of a websocket read nothing more, as one that hangs.
  pause({ name }) {
    sockets.get(name).io.engine.transport.ws._socket.pause();
    tell(name, "paused");
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
