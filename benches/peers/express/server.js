// A webhook that sends a mail, as one would build it with express, a pool of nodemailer and handlebars.
// It holds nothing: an event that it was handling when it died is gone unless its sender repeats it.
'use strict';

const fs = require('node:fs');
const express = require('express');
const handlebars = require('handlebars');
const nodemailer = require('nodemailer');

const customers = new Map();
for (const line of fs.readFileSync(process.env.CUSTOMERS, 'utf8').split('\n')) {
  if (line) {
    const customer = JSON.parse(line);
    customers.set(Number(customer.customer_id), customer);
  }
}

const numbers = new Intl.NumberFormat('en-IN');
const dates = new Intl.DateTimeFormat('en-IN', { dateStyle: 'long', timeZone: 'Asia/Kolkata' });
handlebars.registerHelper('number', (value) => numbers.format(value));
handlebars.registerHelper('date', (value) => dates.format(new Date(Number(value))));
handlebars.registerHelper('is_date', (value) => Number.isFinite(Number(value)) && value !== null);
const page = handlebars.compile(fs.readFileSync(process.env.PAGE, 'utf8'));
const org = { name: 'Marigold', links: { account: 'https://marigold.example/account' } };

const pool = nodemailer.createTransport({
  host: '127.0.0.1',
  port: Number(process.env.SMTP_PORT),
  secure: false,
  ignoreTLS: true,
  pool: true,
  maxConnections: 16,
  maxMessages: Infinity,
});

function texts(customer, points) {
  return {
    preheader: `${points} points are yours`,
    title: `Well done, ${customer.first_name}`,
    body: 'Thank you for shopping with us. Here is what you earned.',
    earned: 'points earned',
    balance: 'Balance',
    programme: 'Programme',
    expiry: 'Use them by',
    button: 'See your account',
    note: 'You receive this message because something changed in your account.',
  };
}

const app = express();
app.use(express.json());
app.get('/', (_request, response) => response.send('ready'));
app.post('/v1/events/bench', async (request, response) => {
  const event = request.body;
  const customer = customers.get(event.data.customerIdentifiers.customerId);
  if (!customer) {
    response.status(404).json({ ok: false });
    return;
  }
  const points = numbers.format(event.data.totalPointsIssued);
  try {
    await pool.sendMail({
      from: 'Marigold Circle <circle@marigold.example>',
      to: customer.email,
      subject: `${customer.first_name}, you earned ${points} points`,
      html: page({ event, org, texts: texts(customer, points) }),
      text: `${customer.first_name}, you earned ${points} points.`,
    });
    response.json({ ok: true });
  } catch (error) {
    response.status(500).json({ ok: false });
  }
});
app.listen(Number(process.env.PORT), '127.0.0.1');
