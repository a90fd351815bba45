"""Events, merchants' endpoints, signed deliveries, replays.

An *event* is a fact drawn for the wire: same id, the object as the API shows it, and the object's
sequence number, so that a receiver can drop old news. A *delivery* is one event owed to one
endpoint; a *try* is one request of it.

Promises
- Each event is owed to each enabled endpoint that listens to its type once, in the transaction
  that marks its fact relayed. It is delivered at least once, always under the same event id.
- Each try is signed freshly, for Stripe's scheme and for Standard Webhooks at once.
- A dead endpoint delays nobody: each endpoint has its own queue and its own few connections, and
  endpoints that fail share a part of the slots only.
- A failed delivery is tried again for three days; 410 disables the endpoint.
- No connection is held over a request, none is opened to an address that is not public unless
  the settings allow it, and no redirect is followed.

Files beside the usual ones: `event.py` draws a fact as an event (pure), `signing.py` signs (pure),
`addresses.py` knows which addresses are
public (pure), `client.py` sends under that guard, `dispatcher.py` keeps the queues moving.

Tables: `webhooks.endpoints deliveries tries`. Facts: none (an event is never about events).

    pending    2xx -> delivered, else -> pending, or abandoned after three days (or by 410)
    delivered  replay -> pending
    abandoned  replay -> pending
"""
