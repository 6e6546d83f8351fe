#!/usr/bin/env python3
"""native_peer.py - a second agent, written from PROTOCOL.md alone, with the
standard library only.  It is the backend itself: /bytes/N gets N bytes (0, 1,
... 250, 0, ...), everything else "LENGTH HASH\\n" of the request's content
(FNV-1a, 64 bits, hex).

One call at a time, parked unless there is more to send: whatever the answer
brings is worked on at once, and the next call carries what came of it."""

import argparse
import http.client
import os
import struct
import sys
import time
import urllib.parse

(HELLO, WELCOME, REFUSED, OPEN, HEAD, DATA, WINDOW, RESET, ACCEPT) = range(1, 10)
PARK = END = RESEND = 1
BROKEN = 4
CONTENT_MAX = 65536
CALL_MAX = 1 << 20		# stay well below 4 MiB
REQUEST_WINDOW = 262144
CAPACITY = 20
PATTERN = bytes(range(251))


def frame(kind, payload, flags=0):
    return struct.pack(">IBBH", len(payload), kind, flags, 0) + payload


def frames_of(data):
    at = 0
    while at < len(data):
        length, kind, flags, _ = struct.unpack_from(">IBBH", data, at)
        at += 8
        if at + length > len(data):
            raise ValueError("a frame is cut short")
        yield kind, flags, data[at:at + length]
        at += length


def fnv1a(value, content):
    for byte in content:
        value = ((value ^ byte) * 1099511628211) & 0xffffffffffffffff
    return value


class Exchange:
    def __init__(self, ident, limit, head):
        self.id = ident
        self.target = head.split(b" ", 2)[1].decode("latin-1")
        self.method = head.split(b" ", 1)[0]
        # the request's content
        self.received = 0
        self.early = {}
        self.end = None
        self.hash = 14695981039346656037
        # the response's content
        self.limit = limit
        self.length = None		# known once there is a response
        self.text = None
        self.sent = 0
        self.head_sent = False
        self.end_sent = False
        self.heard = time.monotonic()

    def take(self, offset, content, end):
        """Puts a piece in its place; pieces may come twice and early."""
        self.heard = time.monotonic()
        if end:
            self.end = offset + len(content)
        self.early[offset] = max(content, self.early.get(offset, b""), key=len)
        for at in sorted(self.early):
            if at > self.received:
                break
            piece = self.early.pop(at)[self.received - at:]
            self.hash = fnv1a(self.hash, piece)
            self.received += len(piece)

    def is_whole(self):
        return self.end is not None and self.received >= self.end

    def window(self, resend=False):
        return frame(WINDOW, self.id + struct.pack(">QQ", self.received,
            self.received + REQUEST_WINDOW), RESEND if resend else 0)

    def begin_response(self):
        if self.target.startswith("/bytes/"):
            self.length = int(self.target.split("/")[2])
        else:
            self.text = b"%d %016x\n" % (self.received, self.hash)
            self.length = len(self.text)

    def content(self, offset, length):
        if self.text is not None:
            return self.text[offset:offset + length]
        start = offset % len(PATTERN)
        repeats = (start + length) // len(PATTERN) + 1
        return (PATTERN * repeats)[start:start + length]

    def next_frame(self):
        """The next piece of the response, None when it has to wait."""
        stop = 0 if self.method == b"HEAD" else self.length
        room = min(stop, self.limit, self.sent + CONTENT_MAX) - self.sent
        if self.end_sent or (room <= 0 and self.head_sent and self.sent < stop):
            return None
        content = self.content(self.sent, max(room, 0))
        self.end_sent = self.sent + len(content) == stop
        flags = END if self.end_sent else 0
        offset, self.sent = self.sent, self.sent + len(content)
        if self.head_sent:
            return frame(DATA, self.id + struct.pack(">Q", offset) + content,
                flags)
        self.head_sent = True
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" \
            b"X-Peer: python\r\n\r\n" % self.length
        return frame(HEAD, self.id + struct.pack(">I", len(head)) + head +
            content, flags)


class Agent:
    def __init__(self, url, backend, token):
        self.url = urllib.parse.urlsplit(url)
        self.backend = backend.encode()
        self.token = token
        self.instance = os.urandom(16)
        self.exchanges = {}
        self.out = []
        self.connection = None

    def hello(self, park):
        name = b"native_peer.py/1"
        return frame(HELLO, struct.pack(">BBH16sIHB", 1, 0,
            max(0, CAPACITY - len(self.exchanges)), self.instance,
            len(self.exchanges), 1, len(self.backend)) + self.backend +
            bytes([len(name)]) + name, PARK if park else 0)

    def call(self, body):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.url.hostname,
                self.url.port or 80, timeout=60)
        self.connection.request("POST", self.url.path + "agent/exchange", body,
            {"Authorization": "Bearer " + self.token,
            "Content-Type": "application/vnd.inverting-proxy.frames"})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def call_until_taken(self, frames, park):
        """Repeating is always safe."""
        while True:
            try:
                status, content = self.call(self.hello(park) + frames)
            except (OSError, http.client.HTTPException):
                status, content = 0, b""
                self.connection = None
                for exchange in self.exchanges.values():
                    if not exchange.is_whole():
                        frames += exchange.window(resend=True)
            if status == 200:
                return content
            if status == 400:
                sys.exit("400: " + content.decode("latin-1"))
            print("call: status", status, file=sys.stderr, flush=True)
            time.sleep(0.1)

    def collect(self):
        """The frames of the next call, and who is over once it is taken."""
        frames, self.out = b"".join(self.out), []
        over = []
        for exchange in list(self.exchanges.values()):
            while exchange.length is not None and len(frames) < CALL_MAX:
                piece = exchange.next_frame()
                if piece is None:
                    break
                frames += piece
            if exchange.end_sent:
                over.append(exchange.id)
        return frames, over

    def turn(self):
        frames, over = self.collect()
        answer = self.call_until_taken(frames, len(frames) < CALL_MAX)
        for ident in over:
            self.exchanges.pop(ident, None)
        for kind, flags, payload in frames_of(answer):
            if kind == OPEN:
                self.take_open(flags, payload)
            elif kind in (DATA, WINDOW, RESET):
                self.take_frame(kind, flags, payload[:24], payload[24:])
            elif kind == REFUSED:
                sys.exit("refused: %r" % payload)

    def take_open(self, flags, payload):
        ident, payload = payload[:24], payload[24:]
        _start, _deadline, limit, length = struct.unpack_from(">QIQB", payload)
        payload = payload[21 + length:]
        length, = struct.unpack_from(">H", payload)
        payload = payload[2 + length:]
        length, = struct.unpack_from(">I", payload)
        head, content = payload[4:4 + length], payload[4 + length:]
        if ident in self.exchanges:
            return
        exchange = self.exchanges[ident] = Exchange(ident, limit, head)
        self.take_content(exchange, 0, content, flags & END)

    def take_content(self, exchange, offset, content, end):
        exchange.take(offset, content, end)
        if exchange.length is not None:
            return
        if exchange.is_whole():
            exchange.begin_response()
        else:
            self.out.append(exchange.window())

    def take_frame(self, kind, flags, ident, rest):
        exchange = self.exchanges.get(ident)
        if exchange is None:
            if kind == WINDOW and flags & RESEND:
                self.out.append(frame(RESET, ident +
                    struct.pack(">H", BROKEN) + b"it is over here"))
        elif kind == DATA:
            offset, = struct.unpack_from(">Q", rest)
            self.take_content(exchange, offset, rest[8:], flags & END)
        elif kind == WINDOW:
            received, limit = struct.unpack(">QQ", rest)
            exchange.limit = max(exchange.limit, limit)
            if flags & RESEND:
                exchange.sent = received
                exchange.end_sent = False
                exchange.head_sent = exchange.head_sent and received > 0
        elif kind == RESET:
            del self.exchanges[ident]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proxy", required=True)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--token-file", required=True)
    options = parser.parse_args()
    with open(options.token_file, encoding="ascii") as f:
        token = f.readline().strip()
    agent = Agent(options.proxy, options.backend, token)
    while True:
        agent.turn()


if __name__ == "__main__":
    main()
