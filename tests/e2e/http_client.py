"""http_client.py PORT PATH REQUESTS AT_ONCE BYTES: posts bodies, compares each answer, and prints how many were right. Ends with status 1 at the first that is
not."""

import http.client
import os
import sys
import threading

port, path, requests, at_once, size = int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
left, right, wrong, lock = requests, 0, [], threading.Lock()


def ask():
    body = os.urandom(size)
    total = 0
    for byte in body:
        total = (total * 31 + byte) % 65521
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if (answer.status, sorted(text.strip("{}\n").split(","))) != (200, sorted([f"length={size}", f"sum={total}"])):
        wrong.append((answer.status, text, size, total))


def client():
    global left, right
    while not wrong:
        with lock:
            if left == 0:
                return
            left -= 1
        try:
            ask()
        except Exception as error:
            wrong.append(repr(error))
        with lock:
            right += 1


threads = [threading.Thread(target=client) for _ in range(at_once)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if wrong:
    sys.exit(f"after {right}: {wrong}")
print(right)
