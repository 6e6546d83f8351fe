#!/usr/bin/env python3
"""worker.py - plays web server, clients, agents, admins and a spoilt Redis to
one real worker, none of them well-behaved, over its FastCGI socket.

It knows the structure: requests are made as they should be, then bent at one
or a few places - records, params, content, frames of a valid agent, responses
in wire form, the admin API's JSON, messages and elements in Redis.  After each
round of that a well-behaved agent and client of another backend must get their
exchange through within 10 s.  The worker must not crash, hang, leak, keep
connections, or say anything that a sanitizer would say.

    tests/fuzz/worker.py --build build-fuzzers --seconds 60 [--seed N]

A seed gives the same inputs in the same order, but not the same timing."""

import argparse
import json
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

(HELLO, WELCOME, REFUSED, OPEN, HEAD, DATA, WINDOW, RESET, ACCEPT) = range(1, 10)
FRAMES = "application/vnd.inverting-proxy.frames"
MOUNT = "/inverting-proxy/"
PATIENCE = 10			# seconds that a well-behaved one waits
HELD_MAX = 48			# connections left open at a time
ROUND = 40			# spoilt calls between two good ones
MEMORY_MAX_KIB = 1536 * 1024	# with a sanitizer's quarantine


# --- FastCGI ---------------------------------------------------------------

def record(kind, content, ident=1, pad=0):
    return struct.pack(">BBHHBB", 1, kind, ident, len(content), pad, 0) + \
        content + b"\0" * pad


def pair(name, value):
    def length(n):
        return bytes([n]) if n < 128 else struct.pack(">I", n | 1 << 31)
    return length(len(name)) + length(len(value)) + name + value


def request(params, content=b"", keep=False, piece=8192):
    """The records of one request."""
    out = [record(1, struct.pack(">HB5x", 1, 1 if keep else 0))]
    pairs = b"".join(pair(n.encode("latin-1"), v.encode("latin-1"))
                     for n, v in params)
    out += [record(4, pairs[i:i + 60000]) for i in range(0, len(pairs), 60000)]
    out.append(record(4, b""))
    out += [record(5, content[i:i + piece])
            for i in range(0, len(content), piece)]
    out.append(record(5, b""))
    return out


def response(connection, deadline):
    """Status and content; (None, what came) when it breaks off."""
    data, out = b"", b""
    while True:
        while len(data) >= 8:
            _, kind, _, length, pad, _ = struct.unpack_from(">BBHHBB", data)
            if len(data) < 8 + length + pad:
                break
            if kind == 6:
                out += data[8:8 + length]
            data = data[8 + length + pad:]
            if kind == 3:
                head, _, content = out.partition(b"\r\n\r\n")
                return int(head.split()[1]), content
        if not select.select([connection], [], [],
                             max(0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        came = connection.recv(65536)
        if not came:
            return None, out
        data += came


# --- frames ----------------------------------------------------------------

def frame(kind, payload, flags=0):
    return struct.pack(">IBBH", len(payload), kind, flags, 0) + payload


def frames_of(data):
    at = 0
    while at + 8 <= len(data):
        length, kind, flags, _ = struct.unpack_from(">IBBH", data, at)
        yield kind, flags, data[at + 8:at + 8 + length]
        at += 8 + length


def hello(instance, backend, capacity, park=False, in_flight=0, leave=False):
    return frame(HELLO, struct.pack(">BBH16sIHB", 1, 0, capacity, instance,
                                    in_flight, 1, len(backend)) + backend +
                 b"\x01x", (1 if park else 0) | (2 if leave else 0))


# --- the scene -------------------------------------------------------------

class Broken(Exception):
    pass


class Scene:
    def __init__(self, build, directory, rng):
        self.rng = rng
        self.directory = directory
        self.socket = os.path.join(directory, "worker.sock")
        self.redis_socket = os.path.join(directory, "redis.sock")
        self.log = os.path.join(directory, "worker.log")
        self.build = build
        self.redis = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.redis_socket,
             "--save", "", "--dir", directory, "--maxmemory", "256mb"],
            stdout=subprocess.DEVNULL)
        self.wait_for(self.redis_socket)
        self.token = self.admin("token", "add", "--role", "agent", "--user",
                                "spoilt")
        self.good_token = self.admin("token", "add", "--role", "agent",
                                     "--user", "good")
        self.admin_token = self.admin("token", "add", "--role", "admin",
                                      "--user", "root")
        self.admin("backend", "add", "spoilt", "--backend-user", "spoilt",
                   "--path", "/")
        self.admin("backend", "add", "good", "--backend-user", "good",
                   "--path", "/good")
        environment = dict(os.environ)
        environment["ASAN_OPTIONS"] = "abort_on_error=1:detect_leaks=1"
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        with open(self.log, "w") as log:
            self.worker = subprocess.Popen(
                [os.path.join(build, "inverting-proxy.fcgi"), "--listen",
                 self.socket, "--redis", self.redis_socket, "--lease", "2s",
                 "--queue-timeout", "2s", "--response-timeout", "2s",
                 "--idle-timeout", "2s", "--poll-timeout", "2s",
                 "--drain-timeout", "2s", "--log-level", "debug",
                 "--login-delay", "0"],
                stdin=subprocess.DEVNULL, stderr=log, env=environment)
        self.wait_for(self.socket)
        self.held = []
        self.ids = [os.urandom(24)]
        self.instances = [rng.randbytes(16) for _ in range(4)]
        self.good_instance = rng.randbytes(16)
        self.addresses = ["192.0.2.%d" % i for i in range(1, 250)]
        self.peer = socket.socket(socket.AF_UNIX)
        self.peer.connect(self.redis_socket)

    def wait_for(self, path):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(path)
                return
            except OSError:
                time.sleep(.01)
        raise Broken("nobody listens on " + path)

    def admin(self, *words):
        return subprocess.run(
            [os.path.join(self.build, "inverting-proxy-admin"), "--redis",
             self.redis_socket] + list(words), check=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True).stdout.strip()

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(PATIENCE)
        try:
            s.connect(self.socket)
        except OSError as e:
            raise Broken("the worker takes no connection: %s" % e)
        return s

    def redis_command(self, *words):
        out = b"*%d\r\n" % len(words)
        for w in words:
            w = w if isinstance(w, bytes) else str(w).encode()
            out += b"$%d\r\n%s\r\n" % (len(w), w)
        self.peer.sendall(out)
        return self.redis_reply()

    def redis_reply(self):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.peer.recv(1)
        kind, rest = line[:1], line[1:-2]
        if kind == b"*":
            return [self.redis_reply() for _ in range(int(rest))]
        if kind != b"$" or rest == b"-1":
            return rest
        data = b""
        while len(data) < int(rest) + 2:
            data += self.peer.recv(int(rest) + 2 - len(data))
        return data[:-2]

    # --- how things are bent

    def odd_text(self):
        r = self.rng
        return r.choice([
            "", "a", "0", "-1", "99999999999999999999", "4294967296", "\r\n",
            "a\r\nB: c", "\0", "%00", "%2F..%2f", "/" * 300, "a" * 5000,
            "\xff\xfe", "chunked", "close, host", "*", "http://h/x?y",
            "GET", "GE T", "//", "/../", "?", " x", "x ",
            "Bearer ", "Bearer " + self.token, "Basic eDp5",
            r.randbytes(r.randrange(40)).decode("latin-1")])

    def bend(self, data, times=None):
        """A few bytes changed, taken out, put in, doubled or cut off."""
        r = self.rng
        data = bytearray(data)
        for _ in range(times or r.randrange(1, 6)):
            at = r.randrange(len(data) + 1)
            what = r.randrange(6)
            if what == 0 and at < len(data):
                data[at] ^= 1 << r.randrange(8)
            elif what == 1 and at < len(data):
                data[at] = r.choice((0, 1, 127, 128, 255))
            elif what == 2:
                del data[at:at + r.randrange(1, 9)]
            elif what == 3:
                data[at:at] = r.randbytes(r.randrange(1, 9))
            elif what == 4:
                data[at:at] = data[at:at + r.randrange(1, 64)]
            elif what == 5 and r.random() < .3:
                del data[at:]
        return bytes(data)

    def bend_params(self, params):
        r = self.rng
        params = list(params)
        for _ in range(r.randrange(4)):
            what, i = r.randrange(4), r.randrange(len(params))
            if what == 0:
                params[i] = (params[i][0], self.odd_text())
            elif what == 1 and len(params) > 1:
                del params[i]
            elif what == 2:
                params.insert(i, (r.choice((
                    "HTTP_CONNECTION", "HTTP_X_INVERTING_PROXY_USER_ID",
                    "HTTP_TRANSFER_ENCODING", "CONTENT_LENGTH", "HTTP_A",
                    "REMOTE_USER", "HTTP_VIA", "INVERTING_PROXY_MOUNT",
                    self.odd_text())), self.odd_text()))
            else:
                params.append(params[i])
        return params

    # --- who calls

    def params(self, role, method, uri, token=None, content=None, **more):
        out = [("REQUEST_METHOD", method), ("REQUEST_URI", uri),
               ("INVERTING_PROXY_ROLE", role), ("HTTP_HOST", "proxy.test"),
               ("REMOTE_ADDR", self.rng.choice(self.addresses)),
               ("SERVER_PROTOCOL", "HTTP/1.1")]
        if token is not None:
            out.append(("HTTP_AUTHORIZATION", "Bearer " + token))
        if content is not None:
            out.append(("CONTENT_LENGTH", str(len(content))))
        return out + list(more.items())

    def client_call(self):
        r = self.rng
        content = r.randbytes(r.choice((0, 1, 100, 70000, 300000)))
        method = r.choice(("GET", "POST", "HEAD", "PUT", "OPTIONS", "BREW"))
        return self.params("client", method, r.choice(
            ("/", "/x?y=z", "/%2e%2e/", "*", "http://h/x")),
            content=content if r.random() < .8 else None), content

    def exchange_id(self):
        r = self.rng
        return r.choice(self.ids) if r.random() < .8 else r.randbytes(24)

    def number(self):
        return self.rng.choice((0, 0, 1, 5, 1000, 65535, 65536, 1 << 32,
                                (1 << 63) - 1, (1 << 64) - 1))

    def odd_frame(self):
        r = self.rng
        ident, kind = self.exchange_id(), r.randrange(12)
        if kind <= 2:
            text = r.choice((
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 304 N\r\n\r\n",
                b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
            if r.random() < .3:
                text = self.bend(text)
            return frame(HEAD, ident + struct.pack(">I", len(text)) + text +
                         r.choice((b"", b"hello")), r.randrange(2))
        if kind <= 5:
            return frame(DATA, ident + struct.pack(">Q", self.number()) +
                         r.randbytes(r.choice((0, 5, 60000))), r.randrange(2))
        if kind <= 7:
            return frame(WINDOW, ident + struct.pack(
                ">QQ", self.number(), self.number()), r.randrange(2))
        if kind == 8:
            return frame(RESET, ident + struct.pack(">H", r.choice(
                (0, 1, 3, 4, 5, 6, 32, 65535))) + b"why")
        if kind == 9:
            return frame(ACCEPT, ident)
        if kind == 10:
            return frame(r.choice((0, 2, 3, 4, 10, 32, 33, 255)), ident)
        return self.bend(self.odd_frame())

    def native_call(self):
        r = self.rng
        content = hello(r.choice(self.instances), b"spoilt",
                        r.choice((0, 1, 5, 65535)), r.random() < .5,
                        r.randrange(3), r.random() < .05)
        content += b"".join(self.odd_frame() for _ in range(r.randrange(6)))
        if r.random() < .2:
            content = self.bend(content)
        return self.params("agent", "POST", MOUNT + "agent/exchange",
                           self.token, content, CONTENT_TYPE=FRAMES), content

    def classic_call(self):
        r = self.rng
        which = r.randrange(4)
        ident = self.exchange_id().hex()
        more = {"HTTP_X_INVERTING_PROXY_BACKEND_ID": "spoilt",
                "HTTP_X_INVERTING_PROXY_REQUEST_ID": ident}
        if which == 0:
            del more["HTTP_X_INVERTING_PROXY_REQUEST_ID"]
            return self.params("agent", "GET", MOUNT + "agent/pending",
                               self.token, **more), b""
        if which == 1:
            return self.params("agent", "GET", MOUNT + "agent/request",
                               self.token, **more), b""
        content = r.choice((
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"))
        if r.random() < .6:
            content = self.bend(content)
        return self.params("agent", "POST", MOUNT + "agent/response",
                           self.token, content, **more), content

    def admin_call(self):
        r = self.rng
        content = json.dumps({
            "id": r.choice(("x", "y", "", "a b", "x" * 200)),
            "endUser": r.choice(("allUsers", "u", "", None)),
            "backendUser": r.choice(("u", 5, [])),
            "pathPrefixes": r.choice((["/x"], [], ["x"], ["/x"] * 100))})
        content = content.encode()
        if r.random() < .3:
            content = self.bend(content)
        method = r.choice(("GET", "POST", "POST", "DELETE", "PUT"))
        return self.params("admin", method, MOUNT + "api/backends" +
                           r.choice(("", "/x", "/%", "?x")),
                           self.admin_token, content), content

    def spoil_redis(self):
        r = self.rng
        workers = self.redis_command("ZRANGE", "ip:{workers}:alive", 0, -1)
        worker = r.choice(workers) if workers else b"0" * 16
        envelope = struct.pack(">BBQB8sQ16sH", 1, r.choice((1, 2)),
                               r.randrange(2000), 3, b"w" * 8, 1,
                               r.choice(self.instances), 7) + b"\x06spoilt"
        message = envelope + b"".join(
            self.odd_frame() for _ in range(r.randrange(1, 4)))
        if r.random() < .4:
            message = self.bend(message)
        open_frame = frame(OPEN, worker_id(worker) + r.randbytes(16) +
                           struct.pack(">QIQB", 1, 1000, 65536, 6) +
                           b"spoilt" + struct.pack(">HI", 0, 27) +
                           b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1)
        if r.random() < .5:
            open_frame = self.bend(open_frame)
        agent = r.choice(self.instances).hex()
        what = r.randrange(7)
        if what <= 2:
            key = b"ip:{w:" + worker + b"}:mail"
            self.redis_command("RPUSH", key, message)
            # Most of these workers never were.
            self.redis_command("PEXPIRE", key, 60000)
        elif what == 3:
            self.redis_command("RPUSH", "ip:{b:spoilt}:queue", open_frame)
            self.redis_command("PUBLISH", "ip:{b:spoilt}:wake",
                               r.choice(("", "roll call", "x" * 100)))
        elif what == 4:
            key = "ip:{a:%s}:mail" % agent
            self.redis_command("RPUSH", key, b"".join(
                self.odd_frame() for _ in range(3)))
            self.redis_command("PEXPIRE", key, 60000)
            self.redis_command("PUBLISH", "ip:{a:%s}:wake" % agent, "")
        elif what == 5:
            self.redis_command("HSET", "ip:{registry}:backends", r.choice(
                ("x", "\n", "")), self.bend(b'{"id":"x","endUser":"u",'
                b'"backendUser":"v","pathPrefixes":["/x"]}'))
            self.redis_command("PUBLISH", "ip:{registry}:changed", "x")
        else:
            self.redis_command("ZADD", "ip:{workers}:alive", r.choice(
                (0, "+inf", 1e15)), r.randbytes(r.choice((1, 16, 500))))

    # --- how a call goes

    def spoilt_call(self):
        r = self.rng
        make = r.choices((self.client_call, self.native_call,
                          self.classic_call, self.admin_call),
                         (4, 6, 3, 1))[0]
        params, content = make()
        bent = r.random()
        if bent < .3:
            params = self.bend_params(params)
        records = request(params, content, r.random() < .3,
                          r.choice((1, 100, 8192, 60000))
                          if len(content) < 2000 else 60000)
        if .3 <= bent < .45:
            r.shuffle(records)
        elif .45 <= bent < .6:
            i = r.randrange(len(records))
            records[i] = self.bend(records[i])
        elif .6 <= bent < .7:
            del records[r.randrange(1, len(records) + 1):]
        self.send(b"".join(records), r.random() < .2)

    def send(self, data, slowly):
        connection = self.connect()
        connection.setblocking(False)
        at, stop = 0, time.monotonic() + .5
        while at < len(data) and time.monotonic() < stop:
            n = len(data) if not slowly else self.rng.randrange(1, 200)
            try:
                at += connection.send(data[at:at + n])
            except BlockingIOError:
                select.select([], [connection], [], .05)
            except OSError:
                break		# it does not want the rest
        self.held.append(connection)
        while len(self.held) > HELD_MAX:
            self.held.pop(self.rng.randrange(len(self.held))).close()

    def look(self):
        """What was answered; ids among it are used again."""
        ready = select.select(self.held, [], [], 0)[0]
        for connection in ready:
            try:
                data = connection.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                connection.close()
                self.held.remove(connection)
            at = data.find(struct.pack(">BB", OPEN, 1))
            if at >= 4 and len(data) >= at + 28:
                self.ids.append(data[at + 4:at + 28])
                del self.ids[:-20]

    # --- those who behave

    def call(self, params, content=b""):
        connection = self.connect()
        connection.sendall(b"".join(request(params, content)))
        return connection

    def good_agent(self, frames, park):
        content = hello(self.good_instance, b"good", 1, park) + frames
        return self.call(self.params(
            "agent", "POST", MOUNT + "agent/exchange", self.good_token,
            content, CONTENT_TYPE=FRAMES), content)

    # A client that comes before any agent was there gets 503.
    def meet(self):
        call = self.good_agent(b"", False)
        status, content = response(call, time.monotonic() + PATIENCE)
        call.close()
        if status != 200:
            raise Broken("the first call got %s %r" % (status, content))

    def good_exchange(self):
        deadline = time.monotonic() + PATIENCE
        poll = self.good_agent(b"", True)
        client = self.call(self.params("client", "GET", "/good/x"))
        opened = None
        while opened is None:
            status, content = response(poll, deadline)
            poll.close()
            if status != 200:
                raise Broken("the good agent got %s %r" % (status, content))
            for kind, _, payload in frames_of(content):
                if kind == OPEN:
                    opened = payload[:24]
            if opened is None:
                poll = self.good_agent(b"", True)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
        answer = self.good_agent(frame(HEAD, opened + struct.pack(
            ">I", len(head)) + head + b"good", 1), False)
        status, content = response(answer, deadline)
        answer.close()
        if status != 200:
            raise Broken("the good agent's answer got %s %r" %
                         (status, content))
        status, content = response(client, deadline)
        client.close()
        if (status, content) != (200, b"good"):
            raise Broken("the good client got %s %r" % (status, content))

    def check(self):
        try:
            self.good_exchange()
        except TimeoutError:
            raise Broken("the worker does not answer in %d s" % PATIENCE)
        except OSError as e:
            raise Broken("the worker: %s" % e)
        if self.worker.poll() is not None:
            raise Broken("the worker ended: %d" % self.worker.returncode)
        with open("/proc/%d/status" % self.worker.pid) as f:
            rss = int(f.read().split("VmRSS:")[1].split()[0])
        if rss > MEMORY_MAX_KIB:
            raise Broken("the worker has grown to %d KiB" % rss)
        return rss

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.worker.pid))

    def settle(self, first):
        """All connections closed: what they cost comes back."""
        for connection in self.held:
            connection.close()
        self.held = []
        deadline = time.monotonic() + 3 * PATIENCE
        while self.descriptors() > first + 4:
            if time.monotonic() > deadline:
                raise Broken("%d descriptors are open, not %d" %
                             (self.descriptors(), first))
            time.sleep(.1)

    def stop_worker(self):
        self.worker.send_signal(signal.SIGTERM)
        try:
            status = self.worker.wait(3 * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Broken("the worker does not end")
        if status != 0:
            raise Broken("the worker ended with %d" % status)
        with open(self.log, errors="replace") as f:
            for line in f:
                if "ERROR: " in line or "runtime error" in line:
                    raise Broken(line.strip())

    def close(self):
        for process in (self.worker, self.redis):
            if process.poll() is None:
                process.kill()
            process.wait()


def worker_id(text):
    try:
        return bytes.fromhex(text.decode())[:8].ljust(8, b"\0")
    except ValueError:
        return b"\0" * 8


def run(scene, seconds):
    rng = scene.rng
    calls = rounds = 0
    first = scene.descriptors()
    scene.meet()
    scene.check()
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        for _ in range(ROUND):
            if rng.random() < .15:
                scene.spoil_redis()
            else:
                scene.spoilt_call()
            scene.look()
            calls += 1
        rss = scene.check()
        rounds += 1
    scene.settle(first)
    scene.check()
    scene.stop_worker()
    print("worker: %d spoilt calls, %d good exchanges between them, "
          "%d calls/s, %d KiB at the end" %
          (calls, rounds + 2, calls / seconds, rss))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build-fuzzers")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int,
                        default=int.from_bytes(os.urandom(4), "big"))
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="fuzz-worker-")
    scene = None
    try:
        scene = Scene(options.build, directory, random.Random(options.seed))
        run(scene, options.seconds)
    except Broken as e:
        print("worker.py: --seed %d: %s" % (options.seed, e))
        kept = os.path.join(options.build, "fuzz-worker.log")
        shutil.copy(os.path.join(directory, "worker.log"), kept)
        with open(kept, errors="replace") as f:
            sys.stdout.writelines(f.readlines()[-60:])
        print("worker.py: the whole of its log is in " + kept)
        sys.exit(1)
    finally:
        if scene is not None:
            scene.close()
        shutil.rmtree(directory, ignore_errors=True)


main()
