"""Serves the objects of a file to snmpd's pass_persist: `rows.py FILE`, each line `OID|TAG|VALUE` in the order of OIDs."""
import bisect
import os
import sys

KINDS = {"2": "integer", "4": "string", "4x": "octet", "6": "objectid", "64": "ipaddress", "65": "counter",
         "66": "gauge", "67": "timeticks", "70": "counter64"}


def number(oid):
    return [int(part) for part in oid.strip(".").split(".")]


def load(path):
    rows = [line.rstrip("\n").split("|", 2) for line in open(path)]
    return [number(oid) for oid, _, _ in rows], rows


def shown(oid, kind, value):
    if kind == "4x":
        value = " ".join(value[at:at + 2] for at in range(0, len(value), 2))
    return f".{oid}\n{KINDS[kind]}\n{value}\n"


def main(path):
    stamp, places, rows = None, [], []
    for command in iter(sys.stdin.readline, ""):
        command = command.strip()
        if command == "PING":
            print("PONG", flush=True)
            continue
        if not command:
            # Behind the value of a set.
            continue
        wanted = number(sys.stdin.readline())
        if command == "set":
            # 6 is destroy(6) of an entry of the log. In the file, too, which each process reads.
            is_destroyed = sys.stdin.readline().split()[-1:] == ["6"] and wanted in places
            if is_destroyed:
                column, index = wanted[:-2], wanted[-1]
                kept = [at for at, oid in enumerate(places) if oid[:-2] != column or oid[-1] != index]
                places, rows = [places[at] for at in kept], [rows[at] for at in kept]
                with open(path, "w") as out:
                    out.writelines("|".join(row) + "\n" for row in rows)
            print("DONE" if is_destroyed else "not-writable", flush=True)
            continue
        # Another file that was renamed over the old one is the next poll.
        if (now := os.stat(path).st_ino) != stamp:
            stamp, (places, rows) = now, load(path)
        at = bisect.bisect_left(places, wanted)
        if command == "getnext" and at < len(places) and places[at] == wanted:
            at += 1
        found = at < len(places) and (command == "getnext" or places[at] == wanted)
        print(shown(*rows[at]) if found else "NONE\n", end="", flush=True)


main(sys.argv[1])
