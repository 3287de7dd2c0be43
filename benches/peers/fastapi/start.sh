#!/bin/sh
# Two processes of the app in this folder, with the Python environment that is given.
exec "$1/bin/uvicorn" --app-dir "$(dirname "$0")" --host 127.0.0.1 --port "$PORT" --workers 2 --log-level warning app:app
