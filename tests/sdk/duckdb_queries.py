"""Runs SQL with DuckDB.

Usage: duckdb_queries.py < QUERIES
Reads a JSON array of statements, runs them in one session, and prints a JSON array with the rows of each.
"""

import json
import sys

import duckdb


def main():
    session = duckdb.connect()
    print(json.dumps([session.execute(sql).fetchall() for sql in json.load(sys.stdin)]))


main()
