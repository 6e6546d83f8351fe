#!/usr/bin/env python3
"""classic_proxy.py - a stand-alone proxy of the classic protocol, in the way
of those that exist: no backends, no logins, everything in memory.  Whoever
calls with X-Inverting-Proxy-Backend-ID is an agent, whatever the path; without
a request id the call is a poll.  An id is listed once and never again.
Everybody else is a client."""

import argparse
import http.server
import json
import queue
import threading

AGENT = "X-Inverting-Proxy-Backend-ID"
ID = "X-Inverting-Proxy-Request-ID"
START = "X-Inverting-Proxy-Request-Start-Time"


class Exchange:
    def __init__(self, request):
        self.request = request
        self.response = queue.Queue()


class Proxy(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options):
        super().__init__(("127.0.0.1", options.port), Handler)
        self.options = options
        self.waiting = queue.Queue()
        self.exchanges = {}
        self.lock = threading.Lock()
        self.count = 0
        self.failures = {"request": options.fail, "response": options.fail}

    def add(self, request):
        with self.lock:
            self.count += 1
            name = f"exchange-{self.count}"
            self.exchanges[name] = exchange = Exchange(request)
        self.waiting.put(name)
        return exchange

    def take_waiting(self):
        ids = []
        try:
            ids.append(self.waiting.get(timeout=self.options.hold))
            while True:
                ids.append(self.waiting.get_nowait())
        except queue.Empty:
            return ids

    def fails_now(self, call):
        with self.lock:
            self.failures[call] -= 1
            return self.failures[call] >= 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def read_content(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return content

    def answer(self, status, content=b"", fields=()):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def list(self):
        ids = self.server.take_waiting()
        text = json.dumps(ids) if ids else self.server.options.empty
        self.answer(200, text.encode(), [("Content-Type", "text/plain")])

    def give_request(self, exchange):
        request = exchange.request
        self.send_response(200)
        self.send_header(START, "2026-01-02T03:04:05.123456789Z")
        if self.server.options.fetch == "length":
            self.send_header("Content-Length", str(len(request)))
            self.end_headers()
            self.wfile.write(request)
        elif self.server.options.fetch == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(request), 7):
                piece = request[at:at + 7]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(request)
            self.close_connection = True

    def serve_agent(self, content):
        if self.path.endswith("agent/exchange") and \
                self.server.options.exchange != "list":
            self.answer(int(self.server.options.exchange), b"no\n")
            return
        if ID not in self.headers:
            self.list()
            return
        call = "response" if self.command == "POST" else "request"
        exchange = self.server.exchanges.get(self.headers[ID])
        if self.server.fails_now(call):
            self.answer(500)
        elif exchange is None:
            self.answer(404)
        elif call == "response":
            exchange.response.put(content)
            self.answer(200)
        else:
            self.give_request(exchange)

    def serve_client(self, content):
        lines = [f"{self.command} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()
                  if name not in ("Connection", "Transfer-Encoding",
                                  "Content-Length")]
        if content:
            lines.append(f"Content-Length: {len(content)}")
        head = "\r\n".join(lines) + "\r\n\r\n"
        exchange = self.server.add(head.encode("latin-1") + content)
        # The wire form of a response, which ends itself.
        self.wfile.write(exchange.response.get())
        self.close_connection = True

    def serve(self):
        content = self.read_content()
        if AGENT in self.headers:
            self.serve_agent(content)
        else:
            self.serve_client(content)

    do_GET = do_POST = do_PUT = do_HEAD = serve


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hold", type=float, default=30,
                        help="seconds that a poll waits")
    parser.add_argument("--empty", default="null",
                        help="what a poll is answered when nothing is there")
    parser.add_argument("--exchange", default="list",
                        help="a status for POST agent/exchange, or `list'")
    parser.add_argument("--fetch", default="length",
                        choices=["length", "chunked", "close"])
    parser.add_argument("--fail", type=int, default=0,
                        help="how many fetches, and posts, get a 500 first")
    Proxy(parser.parse_args()).serve_forever()


main()
