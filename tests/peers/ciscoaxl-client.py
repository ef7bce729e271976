#!/usr/bin/python3
"""tests/peers/ciscoaxl-client.py PEERS PORT VERSION USER CA QUERY...: what an AXL client that is not ours gets.

PEERS is the directory that tests/peers/fetch fills; the password is read from standard input. Asks the CUCM on
127.0.0.1:PORT each QUERY with the PyPI package ciscoaxl, and prints one JSON object: the rows of each query, and the
answers to the other operations by the zeep service that the client made.
"""

import json
import os
import sys
import tempfile

from lxml import etree
from zeep.exceptions import Fault
from zeep.helpers import serialize_object


def rows(answer):
    """ciscoaxl gives lists of elements where it can: one row, or many, or none."""
    if isinstance(answer, Fault):
        return {"fault": answer.message}
    if answer is None:
        return []
    return [[[etree.QName(column).localname, column.text] for column in row] for row in answer["row"]]


def number(value):
    """A text, or an object with a text inside where zeep keeps room for attributes."""
    return int(getattr(value, "_value_1", value))


def main():
    peers, port, version, user, ca, *queries = sys.argv[1:]
    password = sys.stdin.readline().rstrip("\n")
    # The client keeps a cache of schemas in the user's directory, and takes its CA from the environment.
    with tempfile.TemporaryDirectory() as cache:
        os.environ.update(HOME=cache, XDG_CACHE_HOME=cache, REQUESTS_CA_BUNDLE=ca, NO_PROXY="*")
        sys.path.insert(0, os.path.join(peers, "ciscoaxl"))
        from ciscoaxl import axl

        client = axl(user, password, "127.0.0.1", version, cucm_port=int(port), strict_ssl=True)
        service = client.client
        result = {
            "version": service.getCCMVersion()["return"]["componentVersion"]["version"],
            "phones": number(service.getNumDevices("Phone")["return"]),
            "users": serialize_object(
                service.listLicensedUser(
                    searchCriteria={"userId": "%"}, returnedTags={"userId": "", "licenseType": ""}, skip=0, first=3
                )["return"]["licensedUser"]
            ),
            "queries": [rows(client.sql_query(query)) for query in queries],
        }
        if version != "11.5":
            result["entitlements"] = serialize_object(
                service.getSmartLicenseStatus()["LicenseDetails"]["LicenseStatus"]["Entitlement"]
            )
    json.dump(result, sys.stdout, default=str, indent=1)
    print()


if __name__ == "__main__":
    main()
