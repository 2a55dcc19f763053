// A model that does what the newest prompt says, for agents that are tested without any network: OpenAI's chat
// completions (opencode) and responses (codex), streamed, at http://127.0.0.1:PORT/v1.
//
//     node model.mjs          prints its port, and then what it was asked, a line each
//
// A prompt "run: COMMAND" becomes a call of the agent's tool for commands, "write: FILE TEXT" of the one for files, and
// "fail" the answer 500. Anything else is said back.

import { createServer } from "node:http";

const text = (content) =>
  typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("");

/** What the newest turn is: what a tool returned, or what somebody asked. */
function newest(items) {
  for (const item of items.toReversed()) {
    if (item.role === "tool") return { returned: text(item.content) };
    if (item.type?.endsWith("_call_output")) return { returned: text(item.output) };
    if (item.role === "user") {
      const asked = text(item.content).trim();
      // What agents put around a prompt is none.
      if (asked && !asked.startsWith("<")) return { asked };
    }
  }
  return { asked: "" };
}

const command = (asked) => asked.match(/^run: (.+)$/m)?.[1];
const file = (asked) => asked.match(/^write: (\S+) (.+)$/m)?.slice(1);

function answer({ asked, returned }) {
  return returned === undefined ? `You said: ${asked}` : `It returned: ${returned.trim().slice(0, 200)}`;
}

let calls = 0;
let messages = 0;

function chat(request, send) {
  const turn = newest(request.messages);
  const chunk = (delta, finish_reason = null) =>
    send({ id: "c1", object: "chat.completion.chunk", created: 1, model: request.model, choices: [{ index: 0, delta, finish_reason }] });
  const call = (name, input) => {
    calls += 1;
    chunk({ role: "assistant", tool_calls: [{ index: 0, id: `call_${calls}`, type: "function", function: { name, arguments: JSON.stringify(input) } }] });
    chunk({}, "tool_calls");
  };
  const has = (name) => request.tools?.some((tool) => tool.function?.name === name);
  const asked = turn.asked ?? "";
  if (command(asked) && has("bash")) {
    call("bash", { command: command(asked), description: "What was asked for" });
  } else if (file(asked) && has("write")) {
    const [filePath, content] = file(asked);
    call("write", { filePath, content });
  } else {
    for (const word of answer(turn).split(/(?<= )/)) chunk({ role: "assistant", content: word });
    chunk({}, "stop");
  }
  send({ id: "c1", object: "chat.completion.chunk", created: 1, model: request.model, choices: [], usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 } });
  send("[DONE]");
}

function responses(request, send) {
  const turn = newest(Array.isArray(request.input) ? request.input : [{ role: "user", content: request.input }]);
  const asked = turn.asked ?? "";
  const event = (type, more) => send({ type, ...more }, type);
  messages += 1;
  const id = `m${messages}`;
  event("response.created", { response: { id: "r1" } });
  const patch = file(asked);
  const cmd = patch
    ? `apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: ${patch[0]}\n+${patch[1]}\n*** End Patch\nEOF`
    : command(asked);
  if (cmd && request.tools?.some((tool) => tool.name === "exec_command")) {
    calls += 1;
    const item = { type: "function_call", id: `f${calls}`, call_id: `call_${calls}`, name: "exec_command", arguments: JSON.stringify({ cmd }) };
    event("response.output_item.done", { output_index: 0, item });
  } else {
    const said = answer(turn);
    event("response.output_item.added", { output_index: 0, item: { type: "message", id, role: "assistant", content: [] } });
    event("response.output_text.delta", { item_id: id, output_index: 0, content_index: 0, delta: said });
    event("response.output_item.done", { output_index: 0, item: { type: "message", id, role: "assistant", content: [{ type: "output_text", text: said }] } });
  }
  event("response.completed", { response: { id: "r1", usage: { input_tokens: 100, input_tokens_details: { cached_tokens: 0 }, output_tokens: 20, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 120 } } });
}

const server = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  const speak = { "/v1/chat/completions": chat, "/v1/responses": responses }[request.url];
  if (request.method !== "POST" || !speak) {
    response.writeHead(404).end();
    return;
  }
  const asked = JSON.parse(body);
  const turn = newest(asked.messages ?? (Array.isArray(asked.input) ? asked.input : []));
  console.log(JSON.stringify(turn));
  if (turn.asked?.startsWith("fail")) {
    response.writeHead(500, { "content-type": "application/json" }).end('{"error":{"message":"the model is out"}}');
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  speak(asked, (data, event) => {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    response.write(`${event ? `event: ${event}\n` : ""}data: ${text}\n\n`);
  });
  response.end();
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
