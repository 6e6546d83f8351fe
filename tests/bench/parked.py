#!/usr/bin/env python3
"""parked.py - many agents wait at one worker: what that costs, and how soon one
of them is handed a request.

usage: parked.py SOCKET PID TOKEN AGENTS BACKENDS TRIES

Speaks FastCGI to the worker's unix socket itself, as a web server would, and
the classic protocol's poll.  Backends are named b1, b2, ... and have the paths
/b/1, /b/2, ...  Prints: MiB of the worker, its CPU ms in a second of waiting,
p50 and p99 us from the client's request to the answered poll."""
import os
import random
import select
import socket
import struct
import sys
import time


def record(kind, content):
    return struct.pack('>BBHHBB', 1, kind, 1, len(content), 0, 0) + content


def request(params):
    pairs = b''
    for name, value in params.items():
        name, value = name.encode(), value.encode()
        for text in name, value:
            pairs += bytes([len(text)]) if len(text) < 128 else \
                struct.pack('>I', len(text) | 1 << 31)
        pairs += name + value
    return (record(1, b'\0\1\0\0\0\0\0\0') + record(4, pairs) +
            record(4, b'') + record(5, b''))


def call(path, message):
    fd = socket.socket(socket.AF_UNIX)
    fd.connect(path)
    fd.sendall(message)
    return fd


def ticks(pid):
    with open(f'/proc/{pid}/stat') as f:
        return sum(map(int, f.read().rsplit(')', 1)[1].split()[11:13]))


def resident_mib(pid):
    with open(f'/proc/{pid}/status') as f:
        for line in f:
            if line.startswith('VmRSS'):
                return int(line.split()[1]) / 1024
    return 0


def main():
    path, pid, token = sys.argv[1:4]
    agents, backends, tries = map(int, sys.argv[4:7])

    def poll(backend):
        return call(path, request({
            'INVERTING_PROXY_ROLE': 'agent', 'REQUEST_METHOD': 'GET',
            'REQUEST_URI': '/inverting-proxy/agent/pending',
            'SERVER_PROTOCOL': 'HTTP/1.1',
            'HTTP_AUTHORIZATION': 'Bearer ' + token,
            'HTTP_X_INVERTING_PROXY_BACKEND_ID': f'b{backend}'}))

    waiting = select.epoll()
    polls = {}

    def park(backend):
        fd = poll(backend)
        polls[fd.fileno()] = fd, backend
        waiting.register(fd, select.EPOLLIN)

    # A worker that has just started refuses everybody for a moment.
    for _ in range(100):
        with poll(1) as fd:
            if not select.select([fd], [], [], 0.1)[0]:
                break
    for i in range(agents):
        park(i % backends + 1)
    time.sleep(1)
    if waiting.poll(0):
        sys.exit('a poll was answered: ' +
                 repr(polls[waiting.poll(0)[0][0]][0].recv(1000)))
    before = ticks(pid)
    time.sleep(1)
    idle = (ticks(pid) - before) * 1000 / os.sysconf('SC_CLK_TCK')
    mib = resident_mib(pid)

    times = []
    for _ in range(tries):
        backend = random.randint(1, min(agents, backends))
        message = request({
            'INVERTING_PROXY_ROLE': 'client', 'REQUEST_METHOD': 'GET',
            'REQUEST_URI': f'/b/{backend}/1k', 'SERVER_PROTOCOL': 'HTTP/1.1',
            'HTTP_HOST': 'bench'})
        began = time.perf_counter()
        client = call(path, message)
        ready = waiting.poll(5)
        times.append((time.perf_counter() - began) * 1e6)
        if not ready:
            sys.exit('no poll was answered')
        for number, _ in ready:
            fd, served = polls.pop(number)
            waiting.unregister(fd)
            fd.close()
            park(served)
        client.close()
        time.sleep(0.002)
    times.sort()
    print(f'{mib:.0f} {idle:.0f} {times[len(times) // 2]:.0f} '
          f'{times[len(times) * 99 // 100]:.0f}')


main()
