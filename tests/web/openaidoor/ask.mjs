// Asks the service at the given address through OpenAI's SDK, and prints what has come as JSON.
import { createRequire } from "node:module";

const [, , folder, address, name] = process.argv;
const OpenAI = createRequire(`${folder}/package.json`)("openai").default;
const client = new OpenAI({ apiKey: "lls_any", baseURL: `${address}/v1`, maxRetries: 0 });
const asked = { model: "scripted", messages: [{ role: "user", content: "Say hello." }] };
const question = { model: "scripted", input: "Say hello." };

const raised = async (promise) => {
  try {
    await promise;
  } catch (error) {
    const { status, code, param, type } = error;
    return { raised: error.constructor.name, status, code, param, type, api: error instanceof OpenAI.APIError };
  }
  return { raised: null };
};

const read = async (stream, each) => {
  for await (const part of stream) each(part);
};

const cases = {
  async whole() {
    const answer = await client.chat.completions.create(asked);
    return { text: answer.choices[0].message.content, usage: answer.usage };
  },
  async streamed() {
    const stream = client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
    const answer = await stream.finalChatCompletion();
    return { text: answer.choices[0].message.content, usage: answer.usage };
  },
  async unknown() {
    return raised(client.chat.completions.create({ ...asked, model: "nobody" }));
  },
  async refused() {
    return raised(client.chat.completions.create({ ...asked, n: 2 }));
  },
  async cut() {
    let text = "";
    const stream = await client.chat.completions.create({ ...asked, stream: true });
    const how = await raised(read(stream, (chunk) => (text += chunk.choices[0].delta.content)));
    return { text, ...how };
  },
  async left() {
    const stream = await client.chat.completions.create({ ...asked, stream: true });
    for await (const chunk of stream) break;
    return {};
  },
  async response() {
    const answer = await client.responses.create(question);
    return { text: answer.output_text, status: answer.status };
  },
  async resumed() {
    const events = [];
    const stream = await client.responses.create({ ...question, stream: true });
    for await (const event of stream) if (events.push(event) === 5) break;
    const after = { stream: true, starting_after: events[4].sequence_number };
    await read(await client.responses.retrieve(events[0].response.id, after), (event) => events.push(event));
    const last = events[events.length - 1];
    return { numbers: events.map((event) => event.sequence_number), last: last.type };
  },
  async tools() {
    const parameters = { type: "object", properties: { city: { type: "string" } } };
    const chat = { ...asked, tools: [{ type: "function", function: { name: "weather", parameters } }] };
    const respond = { ...question, tools: [{ type: "function", name: "weather", parameters, strict: false }] };
    const chats = [
      (body) => client.chat.completions.create(body),
      (body) => client.chat.completions.stream(body).finalChatCompletion(),
    ];
    const responses = [
      (body) => client.responses.create(body),
      (body) => client.responses.stream(body).finalResponse(),
    ];
    const told = [];
    for (const ask of chats) {
      const { message, finish_reason } = (await ask(chat)).choices[0];
      const results = message.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "No." }));
      const answer = await ask({ ...chat, messages: [...chat.messages, message, ...results] });
      const called = message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
      told.push({ finish_reason, called, text: answer.choices[0].message.content });
    }
    for (const ask of responses) {
      const { output } = await ask(respond);
      const calls = output.filter((item) => item.type === "function_call");
      const results = calls.map(({ call_id }) => ({ type: "function_call_output", call_id, output: "No." }));
      const input = [{ role: "user", content: question.input }, ...output, ...results];
      const answer = await ask({ ...respond, input });
      told.push({ called: calls.map((call) => JSON.parse(call.arguments).city), text: answer.output_text });
    }
    return told;
  },
  async rich() {
    const schema = { type: "object", properties: { x: { type: "integer" } }, required: ["x"] };
    const url = "data:image/png;base64,iVBORw0KGgo=";
    const content = [{ type: "text", text: "Count." }, { type: "image_url", image_url: { url } }];
    const body = {
      model: "scripted",
      messages: [{ role: "user", content }],
      n: 1,
      response_format: { type: "json_schema", json_schema: { name: "point", schema, strict: true } },
    };
    const told = [];
    const whole = await client.chat.completions.parse(body);
    const stream = client.chat.completions.stream(body);
    let reasoning = "";
    stream.on("chunk", (chunk) => (reasoning += chunk.choices[0]?.delta.reasoning_content ?? ""));
    const { message } = whole.choices[0];
    told.push({ parsed: message.parsed, reasoning: message.reasoning_content });
    told.push({ parsed: JSON.parse(await stream.finalContent()), reasoning });

    const parts = [{ type: "input_text", text: "Count." }, { type: "input_image", image_url: url, detail: "auto" }];
    const ask = {
      model: "scripted",
      input: [{ role: "user", content: parts }],
      text: { format: { type: "json_schema", name: "point", schema, strict: true } },
    };
    const thought = (answer) => answer.output.find((item) => item.type === "reasoning").summary[0].text;
    const responded = await client.responses.parse(ask);
    told.push({ parsed: responded.output_parsed, reasoning: thought(responded) });
    const last = await client.responses.stream({ ...ask, previous_response_id: responded.id }).finalResponse();
    told.push({ parsed: JSON.parse(last.output_text), reasoning: thought(last) });
    const unknown = client.responses.create({ ...ask, previous_response_id: "resp_x" });
    return { told, previous: last.previous_response_id === responded.id, unknown: await raised(unknown) };
  },
  async cutresponse() {
    const stream = await client.responses.create({ ...question, stream: true });
    return raised(read(stream, () => {}));
  },
};

console.log(JSON.stringify(await cases[name]()));
