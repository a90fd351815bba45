"""The JSON API: every room's operations in one table, what can be expanded, OpenAPI and its page.

`app.build` composes them into one ASGI application; nothing is decided here.
"""
