"""What botkit remembers: messages, answers, people and their keys, in SQLite or PostgreSQL.

SQLAlchemy is used here and nowhere else.  ``Database`` runs transactions, ``ConversationStore`` speaks the
language of the chat, ``Sealer`` keeps the text unreadable without the key file.
"""
