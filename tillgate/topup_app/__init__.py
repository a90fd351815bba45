"""The top-up pages: a customer with a link adds value to a wallet, on a phone first.

Server-rendered; a page is complete without scripts but for the button that places an order. A GET
never changes anything, so a reload or a closed page loses nothing and pays nothing twice.

`hosted` is the page of one payment that is to be paid by a code, whatever it is for. `worker.js`
(`offline`) keeps the pages on the customer's device for when there is no connection.
"""
