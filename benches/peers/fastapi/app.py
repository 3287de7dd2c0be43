"""A webhook that sends a mail, as one would build it with FastAPI, aiosmtplib and Jinja.

It holds nothing: an event that it was handling when it died is gone unless its sender repeats it.
"""

import asyncio
import json
import os
import re
from datetime import datetime, timezone
from email.message import EmailMessage

import aiosmtplib
import jinja2
from fastapi import FastAPI, Request, Response

CONNECTIONS = 8

with open(os.environ["CUSTOMERS"], encoding="utf-8") as lines:
    CUSTOMERS = {int(c["customer_id"]): c for c in map(json.loads, filter(str.strip, lines))}


def to_jinja(page: str) -> str:
    """The page of the bench in Jinja's words."""
    page = re.sub(r"\{\{#if \(is_date ([\w.]+)\)\}\}", r"{% if \1 %}", page)
    page = re.sub(r"\{\{#if ([\w.]+)\}\}", r"{% if \1 %}", page)
    page = page.replace("{{/if}}", "{% endif %}")
    page = re.sub(r"\{\{number ([\w.]+)\}\}", r'{{ "{:,}".format(\1) }}', page)
    page = re.sub(r'\{\{date ([\w.]+) "long"\}\}', r"{{ \1 | day }}", page)
    return re.sub(r"\.(\d+)\.", r"[\1].", page)


def day(millis: object) -> str:
    return datetime.fromtimestamp(int(millis) / 1000, timezone.utc).strftime("%d %B %Y")


environment = jinja2.Environment(autoescape=True)
environment.filters["day"] = day
with open(os.environ["PAGE"], encoding="utf-8") as page:
    PAGE = environment.from_string(to_jinja(page.read()))

ORG = {"name": "Marigold", "links": {"account": "https://marigold.example/account"}}
app = FastAPI()
free: asyncio.Queue = asyncio.Queue()


@app.on_event("startup")
async def connect() -> None:
    for _ in range(CONNECTIONS):
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=int(os.environ["SMTP_PORT"]), start_tls=False)
        await client.connect()
        free.put_nowait(client)


@app.get("/")
async def ready() -> str:
    return "ready"


@app.post("/v1/events/bench")
async def take(request: Request, response: Response) -> dict:
    event = await request.json()
    customer = CUSTOMERS.get(event["data"]["customerIdentifiers"]["customerId"])
    if customer is None:
        response.status_code = 404
        return {"ok": False}
    points = f"{event['data']['totalPointsIssued']:,}"
    texts = {
        "preheader": f"{points} points are yours",
        "title": f"Well done, {customer['first_name']}",
        "body": "Thank you for shopping with us. Here is what you earned.",
        "earned": "points earned",
        "balance": "Balance",
        "programme": "Programme",
        "expiry": "Use them by",
        "button": "See your account",
        "note": "You receive this message because something changed in your account.",
    }
    mail = EmailMessage()
    mail["From"] = "Marigold Circle <circle@marigold.example>"
    mail["To"] = customer["email"]
    mail["Subject"] = f"{customer['first_name']}, you earned {points} points"
    mail.set_content(f"{customer['first_name']}, you earned {points} points.")
    mail.add_alternative(PAGE.render(event=event, org=ORG, texts=texts), subtype="html")
    client = await free.get()
    try:
        await client.send_message(mail)
    finally:
        free.put_nowait(client)
    return {"ok": True}
