"""The HTTP kit: reading forms and JSON, refusals on the wire, keys, lists, and one table of operations.

An API operation is a row: method, path, the Struct that is read, the Struct that is shown, and a
handler of a few lines. The same rows route requests, parse and render them, and make the OpenAPI
document. No room is known here; who calls is found out by a function the composition hands in.

Promises: a refused request has changed nothing and names its parameter; an unexpected exception
tells the caller its request id and nothing else; a card number is refused in every text field.
"""
