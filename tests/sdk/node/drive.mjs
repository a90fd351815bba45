// Drives the API with Stripe's own SDK. Base address and key come as JSON on stdin.
import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { createRequire } from "node:module";

const { host, port, key, home, spoil } = JSON.parse(await text(process.stdin));
const Stripe = createRequire(home + "/")("stripe");
const options = { host, port, protocol: "http", telemetry: false };
const stripe = new Stripe(key, { ...options, maxNetworkRetries: 0 });
const done = [];

// Customers, nulls, metadata, auto-paging.
const made = [];
for (let n = 0; n < 5; n++) made.push(await stripe.customers.create({ name: `c${n}`, metadata: { n } }));
const ids = [];
for await (const one of stripe.customers.list({ limit: 2 })) ids.push(one.id);
assert.deepEqual(ids, made.map((one) => one.id).reverse());
const cleared = await stripe.customers.update(made[0].id, { name: null, metadata: { n: null } });
assert.equal(cleared.name, null);
assert.deepEqual({ ...cleared.metadata }, {});
assert.equal((await stripe.customers.del(made[4].id)).deleted, true);
done.push("customers");

// Payments and refunds.
const paid = await stripe.paymentIntents.create({
  amount: 1200, currency: "usd", customer: made[0].id, payment_method: "pm_card_visa", confirm: true,
  payment_method_types: ["card"], expand: ["latest_charge.balance_transaction"],
});
assert.equal(paid.status, "succeeded");
assert.equal(paid.latest_charge.balance_transaction.net, 1200);
const held = await stripe.paymentIntents.create({ amount: 900, currency: "usd", capture_method: "manual" });
await stripe.paymentIntents.confirm(held.id, { payment_method: "pm_card_visa" });
assert.equal((await stripe.paymentIntents.capture(held.id, { amount_to_capture: 500 })).amount_received, 500);
const open = await stripe.paymentIntents.create({ amount: 900, currency: "usd" });
assert.equal((await stripe.paymentIntents.cancel(open.id, { cancellation_reason: "abandoned" })).status, "canceled");
done.push("payment_intents");
const refund = await stripe.refunds.create({ payment_intent: paid.id, amount: 200 });
assert.equal(refund.status, "succeeded");
assert.equal((await stripe.refunds.retrieve(refund.id)).amount, 200);
done.push("refunds");

// Errors.
await assert.rejects(
  stripe.paymentIntents.create({ amount: 100, currency: "usd", payment_method: "pm_card_chargeDeclined", confirm: true }),
  (error) => error instanceof Stripe.errors.StripeCardError && error.decline_code === "generic_decline"
    && error.payment_intent.status === "requires_payment_method",
);
await assert.rejects(stripe.customers.retrieve("cus_nobody"),
  (error) => error instanceof Stripe.errors.StripeInvalidRequestError && error.statusCode === 404);
await assert.rejects(stripe.paymentIntents.create({ currency: "usd" }), (error) => error.param === "amount");
await assert.rejects(new Stripe("sk_test_nobody", { ...options, maxNetworkRetries: 0 }).customers.list(),
  (error) => error instanceof Stripe.errors.StripeAuthenticationError);
done.push("errors");

// Retries: the answer is lost twice, the work is done once.
const stubborn = new Stripe(key, { ...options, maxNetworkRetries: 2 });
await fetch(`http://${host}:${port}${spoil}`, { method: "POST" });
const once = await stubborn.customers.create({ name: "once" });
const named = [];
for await (const one of stripe.customers.list({ limit: 100 })) if (one.name === "once") named.push(one.id);
assert.deepEqual(named, [once.id]);
done.push("retries");

// Events, endpoints, balance.
const endpoint = await stripe.webhookEndpoints.create({ url: "http://127.0.0.1:9/hooks", enabled_events: ["*"] });
assert.match(endpoint.secret, /^whsec_/);
assert.equal((await stripe.webhookEndpoints.update(endpoint.id, { disabled: true })).status, "disabled");
await stripe.webhookEndpoints.del(endpoint.id);
done.push("webhook_endpoints");
const events = await stripe.events.list({ type: "payment_intent.succeeded", limit: 1 });
const event = await stripe.events.retrieve(events.data[0].id);
const payload = JSON.stringify(event);
const header = stripe.webhooks.generateTestHeaderString({ payload, secret: endpoint.secret });
assert.equal(stripe.webhooks.constructEvent(payload, header, endpoint.secret).id, event.id);
done.push("events");
const balance = await stripe.balance.retrieve();
assert.equal(balance.available[0].amount, 0);
assert.equal(balance.pending[0].amount, 1500);
assert.equal((await stripe.balanceTransactions.list({ limit: 1 })).data[0].object, "balance_transaction");
done.push("balance");
console.log(JSON.stringify(done));
