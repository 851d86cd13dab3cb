"""A stand-in for a language model behind OpenAI's protocol: it answers from a table, or fails as it is told."""

import json
import math
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "only for this test of a server of language models"


@dataclass
class StandIn:
    """What the server answers, and what it was asked."""

    answer: object = lambda text: "positive"
    """Returns the label, the labels, or the whole content (a `str` subclass `Raw`) for a text."""
    knows_schema: bool = True
    ignores_schema: bool = False
    """Take no notice of a schema, as some servers do."""
    knows_logprobs: bool = True
    others: object = None
    """Returns the log-probabilities of what else the first token of the label might be, by token, for a text."""
    tokens: object = None
    """Splits an answer into its tokens; none takes quotes and words."""
    key: str | None = None
    """The key that is wanted."""
    models: tuple[str, ...] = ("stand-in",)
    wants_completion_tokens: bool = False
    faults: list = field(default_factory=list)
    """(status, headers, body) of the next requests; a number of seconds sleeps first and then answers."""
    always: tuple | None = None
    """The same for every request."""
    delay: float = 0.0
    counts_tokens: bool = True
    cached: int = 0
    asked: list = field(default_factory=list)
    """The bodies of the requests that were answered, in order."""
    sent: list = field(default_factory=list)
    """The last message of every request that came."""
    keys: list = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    address: str = ""


class Raw(str):
    """A whole answer, as it is."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    state: StandIn

    def log_message(self, *args):
        pass

    def do_POST(self):
        state = self.state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            state.at_once += 1
            state.most_at_once = max(state.most_at_once, state.at_once)
            state.sent.append(body["messages"][-1]["content"])
            state.keys.append(self.headers.get("Authorization", ""))
            fault = state.faults.pop(0) if state.faults else state.always
        try:
            self.respond(body, fault)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with state.lock:
                state.at_once -= 1

    def respond(self, body, fault):
        state = self.state
        if isinstance(fault, (int, float)):
            time.sleep(fault)
        elif fault is not None:
            status, headers, content = fault
            return self.send(status, content if isinstance(content, bytes) else json.dumps(content).encode(), headers)
        time.sleep(state.delay)
        if state.key is not None and self.headers.get("Authorization") != f"Bearer {state.key}":
            return self.refuse(401, f"Incorrect API key provided: {self.headers.get('Authorization', '')[7:]}")
        if body["model"] not in state.models:
            return self.refuse(404, f"The model `{body['model']}` does not exist")
        if "response_format" in body and not state.knows_schema:
            return self.refuse(400, "response_format: json_schema is not supported")
        if "logprobs" in body and not state.knows_logprobs:
            return self.refuse(400, "logprobs are not supported")
        if state.wants_completion_tokens and "max_tokens" in body:
            return self.refuse(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        with state.lock:
            state.asked.append(body)
        self.send(200, json.dumps(self.completion(body)).encode())

    def completion(self, body):
        state = self.state
        text = body["messages"][-1]["content"]
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
        in_json = bool(schema) and not state.ignores_schema
        asked_for_json = "Answer in JSON" in body["messages"][0]["content"]
        content = self.said(text, schema, in_json or (asked_for_json and not state.ignores_schema))
        most = body.get("max_tokens") or body.get("max_completion_tokens")
        tokens = (state.tokens or split)(content)
        finish = "stop"
        if len(tokens) > most:
            tokens, finish = tokens[:most], "length"
            content = "".join(tokens)
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": self.logprobs(text, tokens)}
        prompt = sum(len(one["content"].split()) for one in body["messages"])
        answer = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
        if state.counts_tokens:
            answer["usage"] = {
                "prompt_tokens": prompt, "completion_tokens": len(tokens), "total_tokens": prompt + len(tokens),
                "prompt_tokens_details": {"cached_tokens": state.cached},
            }  # fmt: skip
        return answer

    def said(self, text, schema, in_json):
        numbered = re.findall(r"^\[(\d+)\]\n(.*?)(?=\n\n\[\d+\]\n|\Z)", text, re.DOTALL | re.MULTILINE)
        if numbered:
            found = [(int(number), self.state.answer(one)) for number, one in numbered]
            each = [{"number": number, self.name(value): value} for number, value in found if value is not None]
            return json.dumps({"answers": each})
        value = self.state.answer(text)
        if isinstance(value, Raw):
            return str(value)
        if isinstance(value, list):
            return json.dumps({"labels": value})
        return json.dumps({"label": value}) if in_json else value

    def name(self, value):
        return "labels" if isinstance(value, list) else "label"

    def logprobs(self, text, tokens):
        others = self.state.others(text) if self.state.others else {}
        chosen = math.log(max(1e-9, 1 - sum(math.exp(value) for value in others.values())))
        listed, labelled = [], False
        for place, token in enumerate(tokens):
            begins = not labelled and (len(tokens) < 5 or '"label": "' in "".join(tokens[:place]))
            labelled |= begins
            value = chosen if begins else 0.0
            top = [{"token": token, "logprob": value}]
            top += [{"token": other, "logprob": p} for other, p in others.items()] if begins else []
            listed.append({"token": token, "logprob": value, "top_logprobs": top})
        return listed

    def refuse(self, status, message):
        self.send(status, json.dumps({"error": {"message": message}}).encode())

    def send(self, status, content, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def split(content):
    """Return a text as tokens: words, and signs each by itself; `{"label": "` stays in its usual parts."""
    return re.findall(r'\w+|\s*[^\w\s]"?|\s+', content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def answering(**options):
    """Run a stand-in at `state.address`, and give its state."""
    state = StandIn(**options)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.address = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    import sys

    GOOD = re.compile(r"love|great|good|excellent|best|wonderful|well|enjoy|fantastic|perfect|beautiful", re.I)

    def mood(text):
        if "maybe" in text:
            return "maybe"
        return "positive" if GOOD.search(text) else "negative"

    state = StandIn(answer=mood, others=lambda text: {"negative" if mood(text) == "positive" else "positive": -1.5})
    server = _Server(("127.0.0.1", int(sys.argv[1])), type("Handler", (_Handler,), {"state": state}))
    state.delay = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    server.serve_forever()
