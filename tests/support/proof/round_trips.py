"""Changes whose rollback is right, although the old schema cannot hold what the app wrote, or holds it elsewhere.

Each has losses beside it: a text of a script, what replaces it, and what must be said then.
"""

from dataclasses import dataclass, replace

from tests.support.proof.proofs import OF_ANY, Files

Loss = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A change and its rollback.

    `writes`: what the app writes meanwhile. `waits`: how many rows wait then, by table of the tool's own. `losses`: by
    name, a text of a script, what replaces it, and words of the findings.
    """

    name: str
    before: str
    migrate: str
    writes: str
    rollback: str
    waits: dict[str, int]
    losses: dict[str, Loss]

    @property
    def files(self) -> Files:
        """Its files, with the lines that accept what the change is about."""
        migrate, rollback = ACCEPTED.get(self.name.split(": ", maxsplit=1)[0], ("", ""))
        scripts = {"migrate.sql": migrate + self.migrate, "rollback.sql": rollback + self.rollback}
        return {**OF_ANY, **scripts, "writes.sql": self.writes}

    def with_loss(self, name: str) -> "RoundTrip":
        """Return it with one of its losses."""
        text, other, _ = self.losses[name]
        assert (text in self.migrate) != (text in self.rollback), f"{self.name}: {name}"
        return replace(
            self,
            name=f"{self.name}: {name}",
            migrate=self.migrate.replace(text, other),
            rollback=self.rollback.replace(text, other),
        )


def anew(table: str, columns: str, *names: str, rows: str = "") -> str:
    """Return SQL that creates a table anew with other columns, and takes over those named from the previous rows."""
    listed = ", ".join(names)
    copied = rows or f"SELECT {listed} FROM _orchestrate_kept_live"
    return f"""CREATE TABLE _orchestrate_kept_live AS SELECT * FROM {table};
DROP TABLE {table};
CREATE TABLE {table} ({columns});
INSERT INTO {table} ({listed}) {copied};
DROP TABLE _orchestrate_kept_live;
"""


TASKS = "CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')));\nINSERT INTO tasks VALUES (1, 'Ann', 'open'), (2, 'Bob', 'done'), (3, '', 'open');\n"
TASK = (
    "id INTEGER PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done'))"
)
OWNERLESS = RoundTrip(
    "NOT NULL dropped",
    TASKS,
    anew("tasks", TASK.replace("owner TEXT NOT NULL", "owner TEXT"), "id", "owner", "state")
    + """CREATE TABLE IF NOT EXISTS _orchestrate_kept_ownerless (id INTEGER);
UPDATE tasks SET owner = NULL WHERE owner = '' AND id IN (SELECT id FROM _orchestrate_kept_ownerless);
DROP TABLE _orchestrate_kept_ownerless;
""",
    "INSERT INTO tasks (owner) VALUES (NULL), ('Cid');\nUPDATE tasks SET owner = NULL WHERE id = 1;\n",
    "CREATE TABLE _orchestrate_kept_ownerless AS SELECT id FROM tasks WHERE owner IS NULL;\n"
    + anew(
        "tasks", TASK, "id", "owner", "state",
        rows="SELECT id, coalesce(owner, ''), state FROM _orchestrate_kept_live",
    ),
    {"_orchestrate_kept_ownerless": 2},
    {
        "which are forgotten": ("IN (SELECT id FROM _orchestrate_kept_ownerless)", "IN (0)", ("owner NULL",)),
        "one is forgotten": ("WHERE owner IS NULL", "WHERE owner IS NULL AND id > 1", ("changed id 1, owner NULL",)),
        "the names of others too": (
            "owner = '' AND id IN (SELECT id FROM _orchestrate_kept_ownerless)",
            "owner = '' AND EXISTS (SELECT 1 FROM _orchestrate_kept_ownerless)",
            ("changed id 3, owner NULL",),
        ),
        "another name meanwhile": ("coalesce(owner, '')", "iif(owner = 'Cid', '', coalesce(owner, ''))", ("'Cid'",)),
        "a row is not taken over": ("coalesce(owner, ''), state FROM _orchestrate_kept_live", "coalesce(owner, ''), state FROM _orchestrate_kept_live WHERE owner NOT NULL", ("id 1",)),
    },
)  # fmt: skip
STATES = RoundTrip(
    "CHECK widened",
    TASKS,
    anew("tasks", TASK.replace("'done'", "'done', 'held'"), "id", "owner", "state")
    + """CREATE TABLE IF NOT EXISTS _orchestrate_kept_held (id INTEGER, state TEXT);
UPDATE tasks SET state = k.state FROM _orchestrate_kept_held AS k WHERE k.id = tasks.id;
DROP TABLE _orchestrate_kept_held;
""",
    "INSERT INTO tasks (owner, state) VALUES ('Cid', 'held');\nUPDATE tasks SET state = 'held', owner = 'Al' WHERE id = 1;\n",
    "CREATE TABLE _orchestrate_kept_held AS SELECT id, state FROM tasks WHERE state = 'held';\n"
    + anew(
        "tasks", TASK, "id", "owner", "state",
        rows="SELECT id, owner, replace(state, 'held', 'open') FROM _orchestrate_kept_live",
    ),
    {"_orchestrate_kept_held": 2},
    {
        "another value of the row": ("SELECT id, owner, replace", "SELECT id, iif(id = 1, 'Ann', owner), replace", ("owner 'Al'",)),
        "the state of another row": ("WHERE k.id = tasks.id", "WHERE k.id = 1 AND tasks.id = 2 OR k.id = tasks.id", ("changed id 2, state 'held'",)),
        "another row meanwhile": ("replace(state, 'held', 'open')", "iif(id = 2, 'open', replace(state, 'held', 'open'))", ("changed id 2, state 'open'",)),
    },
)  # fmt: skip

MEDIA = "CREATE TABLE media (id TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, number INTEGER UNIQUE, title TEXT);\nINSERT INTO media VALUES ('a', 'film', 1, 'One'), ('b', 'show', 2, 'Two');\n"
MEDIUM = "id TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, number INTEGER UNIQUE, title TEXT"
CLASH = """CREATE TABLE IF NOT EXISTS _orchestrate_kept_clash (id TEXT, kind TEXT, number INTEGER, title TEXT);
DELETE FROM media WHERE id IN (SELECT id FROM _orchestrate_kept_clash);
INSERT INTO media SELECT id, kind, number, title FROM _orchestrate_kept_clash;
DROP TABLE _orchestrate_kept_clash;
"""
KEEP_CLASH = """CREATE TABLE _orchestrate_kept_clash AS SELECT * FROM media AS m
WHERE EXISTS (SELECT 1 FROM media AS o WHERE o.number = m.number AND o.id < m.id);
DELETE FROM media WHERE id IN (SELECT id FROM _orchestrate_kept_clash);
"""
NUMBERS = RoundTrip(
    "UNIQUE widened on a column",
    MEDIA,
    anew("media", MEDIUM.replace(" UNIQUE", "") + ", UNIQUE (kind, number)", "id", "kind", "number", "title") + CLASH,
    "INSERT INTO media VALUES ('c', 'show', 1, 'Three'), ('d', 'show', 9, 'Four');\nUPDATE media SET number = 1, kind = 'song' WHERE id = 'b';\n",
    KEEP_CLASH + anew("media", MEDIUM, "id", "kind", "number", "title"),
    {"_orchestrate_kept_clash": 2},
    {
        "not kept": ("CREATE TABLE _orchestrate_kept_clash AS SELECT * FROM media AS m\n", "CREATE TABLE _orchestrate_kept_clash AS SELECT * FROM media AS m WHERE 0;\nDELETE FROM media AS m\n", ("id 'c'",)),
        "not given back": ("INSERT INTO media SELECT id, kind, number, title FROM _orchestrate_kept_clash;\n", "", ("id 'c'",)),
        "kept in part": ("AND o.id < m.id);\n", "AND o.id < m.id AND m.id <> 'c');\nDELETE FROM media WHERE id = 'c';\n", ("added id 'c'",)),
        "given back without a value": ("SELECT id, kind, number, title FROM _orchestrate_kept_clash", "SELECT id, kind, number, NULL FROM _orchestrate_kept_clash", ("title 'Three'",)),
        "given back twice": ("FROM _orchestrate_kept_clash;\nDROP", "FROM _orchestrate_kept_clash UNION ALL SELECT id || '2', kind || '2', number, title FROM _orchestrate_kept_clash WHERE id = 'c';\nDROP", ("id 'c2'",)),
        "given back as another's": ("SELECT id, kind, number, title FROM _orchestrate_kept_clash", "SELECT id, kind, number, CASE id WHEN 'c' THEN 'Two' ELSE title END FROM _orchestrate_kept_clash", ("id 'c'",)),
        "one more is gone": ("DELETE FROM media WHERE id IN (SELECT id FROM _orchestrate_kept_clash);\nCREATE", "DELETE FROM media WHERE id IN (SELECT id FROM _orchestrate_kept_clash) OR id = 'd';\nCREATE", ("added id 'd'",)),
    },
)  # fmt: skip
SLUGS = RoundTrip(
    "UNIQUE widened on an index",
    "CREATE TABLE pages (id INTEGER PRIMARY KEY, site INTEGER NOT NULL, slug TEXT NOT NULL);\nCREATE UNIQUE INDEX pages_slug ON pages (slug);\nINSERT INTO pages VALUES (1, 1, 'home'), (2, 2, 'news');\n",
    """DROP INDEX pages_slug;
CREATE UNIQUE INDEX pages_slug ON pages (site, slug);
CREATE TABLE IF NOT EXISTS _orchestrate_kept_slugs (id INTEGER, slug TEXT, other TEXT);
UPDATE pages SET slug = k.slug FROM _orchestrate_kept_slugs AS k WHERE k.id = pages.id AND pages.slug = k.other;
DROP TABLE _orchestrate_kept_slugs;
""",
    "INSERT INTO pages (site, slug) VALUES (2, 'home'), (2, 'about');\n",
    """CREATE TABLE _orchestrate_kept_slugs AS SELECT id, slug, slug || '-' || id AS other FROM pages AS p
WHERE EXISTS (SELECT 1 FROM pages AS o WHERE o.slug = p.slug AND o.id < p.id);
UPDATE pages SET slug = k.other FROM _orchestrate_kept_slugs AS k WHERE k.id = pages.id;
DROP INDEX pages_slug;
CREATE UNIQUE INDEX pages_slug ON pages (slug);
""",
    {"_orchestrate_kept_slugs": 1},
    {
        "not given back": ("UPDATE pages SET slug = k.slug FROM _orchestrate_kept_slugs AS k WHERE k.id = pages.id AND pages.slug = k.other;\n", "", ("added id 3",)),
        "the wrong one is given another": ("WHERE k.id = pages.id;\nDROP", "WHERE k.id = pages.id OR (pages.id = 4 AND k.id = 3 AND (SELECT slug FROM pages WHERE id = 3) <> k.slug);\nUPDATE pages SET slug = 'about-4' WHERE id = 4;\nDROP", ("added id 4",)),
    },
)  # fmt: skip

USERS = "CREATE TABLE \"users\" (id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL);\nINSERT INTO users VALUES (1, 'a@x.io', 'Ann'), (2, 'b@x.io', 'Bob'), (3, 'c@x.io', 'Cid');\n"
USER = "id INTEGER PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL"
ALL_OF_ACCOUNTS = "INSERT INTO accounts (email, name) VALUES ('d@x.io', 'Dot');\nUPDATE accounts SET name = 'Zed' WHERE id = 1;\nDELETE FROM accounts WHERE id = 2;\n"
RENAMED = RoundTrip(
    "table renamed",
    USERS,
    "ALTER TABLE users RENAME TO accounts;\n",
    ALL_OF_ACCOUNTS,
    "ALTER TABLE accounts RENAME TO users;\n",
    {},
    {
        "a row that came": ("RENAME TO users;\n", "RENAME TO users;\nDELETE FROM users WHERE id = 4;\n", ("id 4",)),
        "a value": ("RENAME TO users;\n", "RENAME TO users;\nUPDATE users SET name = 'Ann' WHERE id = 1;\n", ("id 1, name 'Zed'",)),
        "a value of another row": ("RENAME TO users;\n", "RENAME TO users;\nUPDATE users SET name = 'Zed' WHERE id = 3;\n", ("id 3",)),
        "that a row is gone": ("RENAME TO users;\n", "RENAME TO users;\nINSERT OR IGNORE INTO users VALUES (2, 'b@x.io', 'Bob');\n", ("id 2",)),
        "a row once more": ("RENAME TO users;\n", "RENAME TO users;\nINSERT INTO users SELECT 9, email, name FROM users WHERE id = 4;\n", ("id 9",)),
    },
)  # fmt: skip
COPIED = RoundTrip(
    "table renamed by a copy, with a column",
    USERS.replace('"', ""),
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, email TEXT NOT NULL, full_name TEXT NOT NULL);\nINSERT INTO accounts SELECT id, email, name FROM users;\nDROP TABLE users;\n",
    ALL_OF_ACCOUNTS.replace("name", "full_name"),
    f"CREATE TABLE users ({USER});\nINSERT INTO users SELECT id, email, full_name FROM accounts;\nDROP TABLE accounts;\n",
    {},
    {
        "a row that came": ("full_name FROM accounts;", "full_name FROM accounts WHERE id < 4;", ("added id 4",)),
        "values exchanged": ("SELECT id, email, full_name FROM accounts", "SELECT id, iif(id = 4, full_name, email), iif(id = 4, email, full_name) FROM accounts", ("added id 4",)),
    },
)  # fmt: skip

PEOPLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL, bio TEXT);\nINSERT INTO people VALUES (1, 'a@x.io', 'likes tea'), (2, 'b@x.io', NULL), (3, 'c@x.io', 'walks');\n"
PERSON = "id INTEGER PRIMARY KEY, email TEXT NOT NULL, bio TEXT"
PROFILE = "user_id INTEGER PRIMARY KEY REFERENCES people(id) ON DELETE CASCADE, bio TEXT NOT NULL"
MOVED = RoundTrip(
    "column moved to another table",
    PEOPLE,
    f"CREATE TABLE profiles ({PROFILE});\nINSERT INTO profiles SELECT id, bio FROM people WHERE bio IS NOT NULL;\nALTER TABLE people DROP COLUMN bio;\n",
    "UPDATE profiles SET bio = 'likes coffee' WHERE user_id = 1;\nINSERT INTO profiles VALUES (2, 'reads');\nDELETE FROM profiles WHERE user_id = 3;\nINSERT INTO people (email) VALUES ('d@x.io');\nINSERT INTO profiles VALUES (4, 'runs');\n",
    anew("people", PERSON, "id", "email", "bio", rows="SELECT l.id, l.email, p.bio FROM _orchestrate_kept_live AS l LEFT JOIN profiles AS p ON p.user_id = l.id")
    + "DROP TABLE profiles;\n",
    {},
    {
        "one value": ("SELECT l.id, l.email, p.bio", "SELECT l.id, l.email, iif(l.id = 1, 'likes tea', p.bio)", ("user_id 1, bio 'likes coffee'",)),
        "under another owner": ("ON p.user_id = l.id", "ON p.user_id = CASE l.id WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE l.id END", ("id 1",)),
        "that one is gone": ("SELECT l.id, l.email, p.bio", "SELECT l.id, l.email, iif(l.id = 3, 'walks', p.bio)", ("removed user_id 3",)),
        "in one more row": ("SELECT l.id, l.email, p.bio", "SELECT l.id, l.email, iif(l.id = 3, 'reads', p.bio)", ("id 3, bio 'reads'",)),
    },
)  # fmt: skip
SPLIT = RoundTrip(
    "table split",
    "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, street TEXT, city TEXT);\nINSERT INTO people VALUES (1, 'Ann', 'Oak', 'Rome'), (2, 'Bob', 'Elm', 'Oslo'), (3, 'Cid', NULL, NULL);\n",
    """CREATE TABLE addresses (id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL UNIQUE REFERENCES people(id), street TEXT, city TEXT);
INSERT INTO addresses (id, person_id, street, city) SELECT id, id, street, city FROM people WHERE coalesce(street, city) NOT NULL;
ALTER TABLE people DROP COLUMN street;
ALTER TABLE people DROP COLUMN city;
CREATE TABLE IF NOT EXISTS _orchestrate_kept_address_ids (id INTEGER, person_id INTEGER);
UPDATE addresses SET id = -k.id FROM _orchestrate_kept_address_ids AS k WHERE k.person_id = addresses.person_id;
UPDATE addresses SET id = -id WHERE id < 0;
DROP TABLE _orchestrate_kept_address_ids;
""",
    "UPDATE addresses SET city = 'Bern' WHERE person_id = 1;\nDELETE FROM addresses WHERE person_id = 2;\nINSERT INTO addresses (id, person_id, street, city) VALUES (12, 3, 'Ash', 'Riga');\nUPDATE people SET name = 'Anna' WHERE id = 1;\n",
    "CREATE TABLE _orchestrate_kept_address_ids AS SELECT id, person_id FROM addresses;\n"
    + anew("people", "id INTEGER PRIMARY KEY, name TEXT NOT NULL, street TEXT, city TEXT", "id", "name", "street", "city", rows="SELECT l.id, l.name, a.street, a.city FROM _orchestrate_kept_live AS l LEFT JOIN addresses AS a ON a.person_id = l.id")
    + "DROP TABLE addresses;\n",
    {},
    {
        "one value": ("a.street, a.city FROM", "a.street, iif(l.id = 1, 'Rome', a.city) FROM", ("'Bern'",)),
        "its keys": ("UPDATE addresses SET id = -k.id", "UPDATE addresses SET id = -addresses.id", ("added id 12",)),
        "a name": ("SELECT l.id, l.name, a", "SELECT l.id, iif(l.id = 1, 'Ann', l.name), a", ("name 'Anna'",)),
    },
)  # fmt: skip

MERGED = RoundTrip(
    "tables merged",
    """CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE suppliers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, vat TEXT);
INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bob');
INSERT INTO suppliers VALUES (1, 'Yard', 'Y1'), (2, 'Mill', NULL);
""",
    """CREATE TABLE parties (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, vat TEXT);
CREATE TABLE IF NOT EXISTS _orchestrate_kept_parties (id INTEGER, kind TEXT, old INTEGER);
INSERT INTO parties SELECT coalesce(k.id, c.id), 'customer', c.name, NULL FROM customers AS c
LEFT JOIN _orchestrate_kept_parties AS k ON k.kind = 'customer' AND k.old = c.id;
INSERT INTO parties SELECT coalesce(k.id, s.id + 1000), 'supplier', s.name, s.vat FROM suppliers AS s
LEFT JOIN _orchestrate_kept_parties AS k ON k.kind = 'supplier' AND k.old = s.id;
DROP TABLE _orchestrate_kept_parties;
CREATE TABLE _orchestrate_kept_origin AS SELECT id, kind, CASE kind WHEN 'customer' THEN id ELSE id - 1000 END AS old FROM parties;
DROP TABLE customers;
DROP TABLE suppliers;
""",
    """INSERT INTO parties VALUES (2001, 'supplier', 'Dock', 'D1'), (2002, 'customer', 'Eve', NULL);
UPDATE parties SET name = 'Yard Ltd', vat = 'Y2' WHERE id = 1001;
UPDATE parties SET kind = 'customer' WHERE id = 1002;
DELETE FROM parties WHERE id = 1;
""",
    """CREATE TABLE _orchestrate_kept_parties AS
SELECT p.id, p.kind, coalesce(o.old, (SELECT max(old) FROM _orchestrate_kept_origin) + row_number() OVER (PARTITION BY p.kind, o.old IS NULL ORDER BY p.id)) AS old
FROM parties AS p LEFT JOIN _orchestrate_kept_origin AS o ON o.id = p.id AND o.kind = p.kind;
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE suppliers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, vat TEXT);
INSERT INTO customers SELECT k.old, p.name FROM parties AS p JOIN _orchestrate_kept_parties AS k ON k.id = p.id WHERE p.kind = 'customer';
INSERT INTO suppliers SELECT k.old, p.name, p.vat FROM parties AS p JOIN _orchestrate_kept_parties AS k ON k.id = p.id WHERE p.kind = 'supplier';
DROP TABLE parties;
DROP TABLE _orchestrate_kept_origin;
""",
    {},
    {
        "rows of one key become one": ("INSERT INTO suppliers SELECT k.old, p.name", "INSERT OR REPLACE INTO suppliers SELECT 1, p.name", ("suppliers",)),
        "a value": ("p.name, p.vat FROM parties", "p.name, iif(p.id = 1001, 'Y1', p.vat) FROM parties", ("vat 'Y2'",)),
        "a row that came": ("WHERE p.kind = 'customer'", "WHERE p.kind = 'customer' AND p.name <> 'Eve'", ("'Eve'",)),
        "the keys of some": ("coalesce(k.id, s.id + 1000)", "s.id + 1000", ("added id 2001",)),
        "that one is gone": ("WHERE p.kind = 'customer';", "WHERE p.kind = 'customer';\nINSERT OR IGNORE INTO customers VALUES (1, 'Ann');", ("removed id 1",)),
        "a name of another": ("SELECT k.old, p.name FROM parties", "SELECT k.old, iif(p.id = 2, 'Eve', p.name) FROM parties", ("id 2",)),
    },
)  # fmt: skip

POSTS = """CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL);
CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), title TEXT);
INSERT INTO users VALUES (1, 'a@x.io'), (2, 'b@x.io'), (3, 'c@x.io');
INSERT INTO posts VALUES (1, 1, 'one'), (2, 2, 'two'), (3, 1, 'three');
"""
TEXT_IDS = RoundTrip(
    "keys become text",
    POSTS,
    """CREATE TABLE IF NOT EXISTS _orchestrate_kept_uids (id INTEGER, uid TEXT);
CREATE TABLE _orchestrate_kept_ids AS SELECT u.id, coalesce(k.uid, 'u-' || u.id) AS uid FROM users AS u LEFT JOIN _orchestrate_kept_uids AS k ON k.id = u.id;
DROP TABLE _orchestrate_kept_uids;
CREATE TABLE new_users (id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL);
INSERT INTO new_users SELECT k.uid, u.email FROM users AS u JOIN _orchestrate_kept_ids AS k ON k.id = u.id;
CREATE TABLE new_posts (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users(id), title TEXT);
INSERT INTO new_posts SELECT p.id, k.uid, p.title FROM posts AS p JOIN _orchestrate_kept_ids AS k ON k.id = p.user_id;
DROP TABLE posts;
DROP TABLE users;
ALTER TABLE new_users RENAME TO users;
ALTER TABLE new_posts RENAME TO posts;
""",
    """INSERT INTO users VALUES ('0f3c-77', 'd@x.io');
INSERT INTO posts (user_id, title) VALUES ('0f3c-77', 'four'), ('u-2', 'five');
UPDATE posts SET user_id = 'u-3' WHERE id = 2;
UPDATE users SET email = 'z@x.io' WHERE id = 'u-3';
DELETE FROM posts WHERE user_id = 'u-1';
DELETE FROM users WHERE id = 'u-1';
""",
    """CREATE TABLE _orchestrate_kept_uids AS SELECT u.id AS uid, u.email,
coalesce(k.id, (SELECT max(id) FROM _orchestrate_kept_ids) + row_number() OVER (PARTITION BY k.id IS NULL ORDER BY u.id)) AS id
FROM users AS u LEFT JOIN _orchestrate_kept_ids AS k ON k.uid = u.id;
CREATE TABLE _orchestrate_kept_posts AS SELECT p.id, k.id AS user_id, p.title FROM posts AS p JOIN _orchestrate_kept_uids AS k ON k.uid = p.user_id;
DROP TABLE posts;
DROP TABLE users;
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL);
CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), title TEXT);
INSERT INTO users SELECT id, email FROM _orchestrate_kept_uids;
INSERT INTO posts SELECT id, user_id, title FROM _orchestrate_kept_posts;
DROP TABLE _orchestrate_kept_posts;
DROP TABLE _orchestrate_kept_ids;
""",
    {},
    {
        "the new key": ("coalesce(k.uid, 'u-' || u.id)", "'u-' || u.id", ("'0f3c-77'",)),
        "a post": ("user_id, title FROM _orchestrate_kept_posts", "user_id, title FROM _orchestrate_kept_posts WHERE title <> 'five'", ("title 'five'",)),
        "an address": ("SELECT id, email FROM _orchestrate_kept_uids", "SELECT id, iif(id = 3, 'c@x.io', email) FROM _orchestrate_kept_uids", ("changed id 'u-3'",)),
        "whose post it is": ("SELECT p.id, k.id AS user_id", "SELECT p.id, iif(p.title = 'five', 3, k.id) AS user_id", ("user_id 'u-2', title 'five'",)),
        "a user who was deleted": ("SELECT id, email FROM _orchestrate_kept_uids", "SELECT id, email FROM _orchestrate_kept_uids WHERE id > 1 UNION ALL SELECT 1, 'a@x.io'", ("removed id 'u-1'",)),
    },
)  # fmt: skip
LINKS = RoundTrip(
    "keys of a link table become text",
    """CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL);
CREATE TABLE tags (id INTEGER PRIMARY KEY, label TEXT NOT NULL);
CREATE TABLE user_tags (user_id INTEGER NOT NULL REFERENCES users(id), tag_id INTEGER NOT NULL REFERENCES tags(id), PRIMARY KEY (user_id, tag_id)) WITHOUT ROWID;
INSERT INTO users VALUES (1, 'a@x.io'), (2, 'b@x.io');
INSERT INTO tags VALUES (10, 'red'), (11, 'blue');
INSERT INTO user_tags VALUES (1, 10), (2, 11);
""",
    """CREATE TABLE _orchestrate_kept_users AS SELECT * FROM users;
CREATE TABLE _orchestrate_kept_user_tags AS SELECT * FROM user_tags;
DROP TABLE user_tags;
DROP TABLE users;
CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL);
INSERT INTO users SELECT printf('u%04d', id), email FROM _orchestrate_kept_users;
DROP TABLE _orchestrate_kept_users;
CREATE TABLE user_tags (user_id TEXT NOT NULL REFERENCES users(id), tag_id INTEGER NOT NULL REFERENCES tags(id), PRIMARY KEY (user_id, tag_id)) WITHOUT ROWID;
INSERT INTO user_tags SELECT printf('u%04d', user_id), tag_id FROM _orchestrate_kept_user_tags;
DROP TABLE _orchestrate_kept_user_tags;
""",
    "INSERT INTO users VALUES ('u0003', 'c@x.io');\nINSERT INTO user_tags VALUES ('u0003', 10), ('u0001', 11);\nDELETE FROM user_tags WHERE user_id = 'u0002';\n",
    """CREATE TABLE _orchestrate_kept_users AS SELECT CAST(substr(id, 2) AS INTEGER) AS id, email FROM users;
CREATE TABLE _orchestrate_kept_user_tags AS SELECT CAST(substr(user_id, 2) AS INTEGER) AS user_id, tag_id FROM user_tags;
DROP TABLE user_tags;
DROP TABLE users;
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL);
CREATE TABLE user_tags (user_id INTEGER NOT NULL REFERENCES users(id), tag_id INTEGER NOT NULL REFERENCES tags(id), PRIMARY KEY (user_id, tag_id)) WITHOUT ROWID;
INSERT INTO users SELECT * FROM _orchestrate_kept_users;
INSERT INTO user_tags SELECT * FROM _orchestrate_kept_user_tags;
DROP TABLE _orchestrate_kept_user_tags;
DROP TABLE _orchestrate_kept_users;
""",
    {},
    {
        "a link": ("tag_id FROM user_tags;", "tag_id FROM user_tags WHERE user_id <> 'u0003';", ("tag_id 10",)),
        "which link": ("AS user_id, tag_id FROM user_tags", "AS user_id, iif(user_id = 'u0003', 11, tag_id) AS tag_id FROM user_tags", ("tag_id 10",)),
    },
)  # fmt: skip

KEPT_PROFILES = """CREATE TABLE IF NOT EXISTS _orchestrate_kept_profiles (user_id INTEGER, bio TEXT);
DELETE FROM profiles WHERE EXISTS (SELECT 1 FROM _orchestrate_kept_profiles);
INSERT INTO profiles SELECT user_id, bio FROM _orchestrate_kept_profiles;
DROP TABLE _orchestrate_kept_profiles;
"""
MOVED_AND_KEPT = replace(
    MOVED,
    name="column moved to another table, and kept",
    migrate=MOVED.migrate + KEPT_PROFILES,
    rollback=f"CREATE TABLE _orchestrate_kept_profiles AS SELECT user_id, bio FROM profiles;\n{MOVED.rollback}",
    losses={
        "under another owner": ("ON p.user_id = l.id", "ON p.user_id = CASE l.id WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE l.id END", ("people: 2 rows", "id 1, bio 'reads'")),
        "in one more row": ("SELECT l.id, l.email, p.bio", "SELECT l.id, l.email, iif(l.id = 3, 'reads', p.bio)", ("people: 1 row ", "id 3, bio 'reads'")),
        "as another value": ("SELECT l.id, l.email, p.bio", "SELECT l.id, l.email, iif(l.id = 1, 'likes', p.bio)", ("people: 1 row ", "id 1, bio 'likes'")),
    },
)  # fmt: skip
MERGED_AND_KEPT = replace(
    MERGED,
    name="tables merged, and kept",
    migrate=MERGED.migrate.replace(
        "CREATE TABLE _orchestrate_kept_origin",
        """CREATE TABLE IF NOT EXISTS _orchestrate_kept_all (id INTEGER, kind TEXT, name TEXT, vat TEXT);
DELETE FROM parties WHERE EXISTS (SELECT 1 FROM _orchestrate_kept_all);
INSERT INTO parties SELECT * FROM _orchestrate_kept_all;
DROP TABLE _orchestrate_kept_all;
CREATE TABLE _orchestrate_kept_origin""",
    ),
    rollback=f"CREATE TABLE _orchestrate_kept_all AS SELECT * FROM parties;\n{MERGED.rollback}",
    losses={
        "a name of another": ("SELECT k.old, p.name FROM parties", "SELECT k.old, iif(p.id = 2, 'Eve', p.name) FROM parties", ("customers: 1 row ", "id 2, name 'Eve'")),
        "a value of another row": ("p.name, p.vat FROM parties", "p.name, iif(p.id = 1001, 'D1', p.vat) FROM parties", ("suppliers: 1 row ", "id 1, name 'Yard Ltd', vat 'D1'")),
        "a row in both": ("WHERE p.kind = 'customer';", "WHERE p.kind = 'customer' UNION ALL SELECT 77, 'Ghost';", ("customers: 1 row ", "'Ghost'")),
    },
)  # fmt: skip


RENAMES = """-- changes: users 3
-- changes: accounts 3
-- allow: table-lost they are called accounts now
"""
MOVES = "-- allow: column-lost it stands in profiles\n", "-- allow: drop-parent the child goes next\n"
MERGES = """-- changes: customers 2
-- changes: suppliers 2
-- changes: parties 4
-- allow: table-lost customers: they are parties now
-- allow: table-lost suppliers: they are parties now
"""
ACCEPTED = {  # lines of migrate.sql and of rollback.sql
    STATES.name: ("-- allow: check-lost one state more\n", ""),
    NUMBERS.name: ("-- allow: unique-lost one number for each kind\n", ""),
    SLUGS.name: ("-- allow: unique-lost one slug for each site\n", ""),
    RENAMED.name: (RENAMES, ""),
    COPIED.name: (RENAMES, ""),
    MOVED.name: MOVES,
    MOVED_AND_KEPT.name: MOVES,
    SPLIT.name: (
        "-- allow: column-lost people.street: in addresses\n-- allow: column-lost people.city: in addresses\n",
        MOVES[1],
    ),
    MERGED.name: (MERGES, ""),
    MERGED_AND_KEPT.name: (MERGES, ""),
    TEXT_IDS.name: (
        "-- changes: users\n-- changes: posts\n-- allow: retyped keys are texts\n-- allow: default-lost the code gives keys\n",
        "",
    ),
    LINKS.name: ("-- changes: users\n-- changes: user_tags\n-- allow: default-lost the code gives keys\n", ""),
}  # fmt: skip

ROUND_TRIPS = (
    OWNERLESS,
    STATES,
    NUMBERS,
    SLUGS,
    RENAMED,
    COPIED,
    MOVED,
    MOVED_AND_KEPT,
    SPLIT,
    MERGED,
    MERGED_AND_KEPT,
    TEXT_IDS,
    LINKS,
)
OTHERS = (  # played on files alone
    RoundTrip(
        "all keys become random",
        """CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL);
CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), title TEXT);
INSERT INTO users VALUES (1,'a@x'),(2,'b@x'),(3,'c@x');
INSERT INTO posts VALUES (1,1,'one'),(2,2,'two'),(3,1,'three');
""",
        """CREATE TABLE IF NOT EXISTS _orchestrate_kept_u (id INTEGER, uid TEXT);
CREATE TABLE IF NOT EXISTS _orchestrate_kept_p (id INTEGER, uid TEXT);
CREATE TABLE _orchestrate_kept_uid AS SELECT u.id, coalesce(k.uid, lower(hex(randomblob(16)))) AS uid FROM users u LEFT JOIN _orchestrate_kept_u k ON k.id=u.id;
CREATE TABLE _orchestrate_kept_pid AS SELECT u.id, coalesce(k.uid, lower(hex(randomblob(16)))) AS uid FROM posts u LEFT JOIN _orchestrate_kept_p k ON k.id=u.id;
DROP TABLE _orchestrate_kept_u;
DROP TABLE _orchestrate_kept_p;
CREATE TABLE nu (id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL);
CREATE TABLE np (id TEXT PRIMARY KEY NOT NULL, user_id TEXT NOT NULL REFERENCES users(id), title TEXT);
INSERT INTO nu SELECT k.uid,u.email FROM users u JOIN _orchestrate_kept_uid k USING(id);
INSERT INTO np SELECT kp.uid,ku.uid,p.title FROM posts p JOIN _orchestrate_kept_pid kp ON kp.id=p.id JOIN _orchestrate_kept_uid ku ON ku.id=p.user_id;
DROP TABLE posts;
DROP TABLE users;
ALTER TABLE nu RENAME TO users;
ALTER TABLE np RENAME TO posts;
""",
        """INSERT INTO users VALUES ('new-uuid','d@x');
INSERT INTO posts VALUES ('p-uuid','new-uuid','four');
UPDATE posts SET title='ONE' WHERE title='one';
UPDATE users SET email='z@x' WHERE email='b@x';
DELETE FROM posts WHERE title='three';
UPDATE posts SET user_id=(SELECT id FROM users WHERE email='c@x') WHERE title='two';
""",
        """CREATE TABLE _orchestrate_kept_u AS SELECT coalesce(k.id,(SELECT max(id) FROM _orchestrate_kept_uid)+row_number() OVER (PARTITION BY k.id IS NULL ORDER BY u.id)) AS id, u.id AS uid, u.email FROM users u LEFT JOIN _orchestrate_kept_uid k ON k.uid=u.id;
CREATE TABLE _orchestrate_kept_p AS SELECT coalesce(k.id,(SELECT max(id) FROM _orchestrate_kept_pid)+row_number() OVER (PARTITION BY k.id IS NULL ORDER BY p.id)) AS id, p.id AS uid, u.id AS user_id, p.title FROM posts p JOIN _orchestrate_kept_u u ON u.uid=p.user_id LEFT JOIN _orchestrate_kept_pid k ON k.uid=p.id;
DROP TABLE posts;
DROP TABLE users;
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL);
CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), title TEXT);
INSERT INTO users SELECT id,email FROM _orchestrate_kept_u;
INSERT INTO posts SELECT id,user_id,title FROM _orchestrate_kept_p;
DROP TABLE _orchestrate_kept_uid;
DROP TABLE _orchestrate_kept_pid;
""",
        {},
        {},
    ),
    RoundTrip(
        "NOT NULL dropped, rows wait whole",
        """CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')));
INSERT INTO tasks VALUES (1, 'Ann', 'open'), (2, 'Bob', 'done'), (3, '', 'open');
""",
        """CREATE TABLE _orchestrate_kept_live AS SELECT * FROM tasks;
DROP TABLE tasks;
CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT, state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')));
INSERT INTO tasks (id, owner, state) SELECT id, owner, state FROM _orchestrate_kept_live;
DROP TABLE _orchestrate_kept_live;
CREATE TABLE IF NOT EXISTS _orchestrate_kept_n (id,owner,state);
INSERT OR REPLACE INTO tasks SELECT * FROM _orchestrate_kept_n;
DROP TABLE _orchestrate_kept_n;
""",
        """INSERT INTO tasks(owner) VALUES(NULL);
UPDATE tasks SET owner=NULL WHERE id=1;
DELETE FROM tasks WHERE id=2;
""",
        """CREATE TABLE _orchestrate_kept_n AS SELECT * FROM tasks WHERE owner IS NULL;
DELETE FROM tasks WHERE owner IS NULL;
CREATE TABLE _orchestrate_kept_live AS SELECT * FROM tasks;
DROP TABLE tasks;
CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')));
INSERT INTO tasks (id, owner, state) SELECT id, owner, state FROM _orchestrate_kept_live;
DROP TABLE _orchestrate_kept_live;
""",
        {},
        {},
    ),
    RoundTrip(
        "table split by kind",
        """CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, at INTEGER, amount INTEGER);
INSERT INTO events VALUES (1,'login',100,NULL),(2,'buy',200,5),(3,'login',300,NULL),(4,'buy',400,7);
""",
        """CREATE TABLE IF NOT EXISTS _orchestrate_kept_e (old INTEGER, kind TEXT, id INTEGER);
CREATE TABLE logins (id INTEGER PRIMARY KEY, at INTEGER);
CREATE TABLE buys (id INTEGER PRIMARY KEY, at INTEGER, amount INTEGER);
INSERT INTO logins SELECT coalesce(k.id,e.id),at FROM events e LEFT JOIN _orchestrate_kept_e k ON k.old=e.id AND k.kind='login' WHERE e.kind='login';
INSERT INTO buys SELECT coalesce(k.id,e.id),at,amount FROM events e LEFT JOIN _orchestrate_kept_e k ON k.old=e.id AND k.kind='buy' WHERE e.kind='buy';
DROP TABLE _orchestrate_kept_e;
CREATE TABLE _orchestrate_kept_o AS SELECT id,kind FROM events;
DROP TABLE events;
""",
        """INSERT INTO logins(at) VALUES (500),(501);
INSERT INTO buys(at,amount) VALUES(600,9);
UPDATE buys SET amount=6 WHERE id=2;
DELETE FROM logins WHERE id=1;
""",
        """CREATE TABLE _orchestrate_kept_a AS SELECT 'login' AS kind,id,at,NULL AS amount FROM logins UNION ALL SELECT 'buy',id,at,amount FROM buys;
CREATE TABLE _orchestrate_kept_e AS SELECT coalesce(o.id,100+row_number() OVER (PARTITION BY o.id IS NULL ORDER BY a.kind,a.id)) AS old, a.kind, a.id FROM _orchestrate_kept_a a LEFT JOIN _orchestrate_kept_o o ON o.id=a.id AND o.kind=a.kind;
CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, at INTEGER, amount INTEGER);
INSERT INTO events SELECT e.old,a.kind,a.at,a.amount FROM _orchestrate_kept_a a JOIN _orchestrate_kept_e e ON e.kind=a.kind AND e.id=a.id;
DROP TABLE _orchestrate_kept_a;
DROP TABLE _orchestrate_kept_o;
DROP TABLE logins;
DROP TABLE buys;
""",
        {},
        {},
    ),
    RoundTrip(
        "tables merged, with children",
        """CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id), total INTEGER);
CREATE TABLE suppliers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO customers VALUES (1,'Ann'),(2,'Bob');
INSERT INTO suppliers VALUES (1,'Yard');
INSERT INTO orders VALUES (1,1,10),(2,2,20);
""",
        """CREATE TABLE parties (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL);
INSERT INTO parties SELECT id*2,'customer',name FROM customers;
INSERT INTO parties SELECT id*2+1,'supplier',name FROM suppliers;
CREATE TABLE no (id INTEGER PRIMARY KEY, party_id INTEGER NOT NULL REFERENCES parties(id), total INTEGER);
INSERT INTO no SELECT id,customer_id*2,total FROM orders;
DROP TABLE orders;
ALTER TABLE no RENAME TO orders;
DROP TABLE customers;
DROP TABLE suppliers;
""",
        """INSERT INTO parties VALUES (6,'customer','Eve'),(7,'supplier','Mill');
INSERT INTO orders(party_id,total) VALUES (6,30),(2,5);
UPDATE orders SET party_id=6 WHERE id=2;
UPDATE parties SET name='Anna' WHERE id=2;
""",
        """CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE suppliers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO customers SELECT id/2,name FROM parties WHERE kind='customer';
INSERT INTO suppliers SELECT id/2,name FROM parties WHERE kind='supplier';
CREATE TABLE no (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id), total INTEGER);
INSERT INTO no SELECT id,party_id/2,total FROM orders;
DROP TABLE orders;
ALTER TABLE no RENAME TO orders;
DROP TABLE parties;
""",
        {},
        {},
    ),
    RoundTrip(
        "table and columns renamed, with a child",
        """CREATE TABLE users (id INTEGER PRIMARY KEY, nm TEXT);
CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users(id), t TEXT);
INSERT INTO users VALUES (1,'A'),(2,'B');
INSERT INTO posts VALUES (1,1,'x'),(2,2,'y');
""",
        """ALTER TABLE users RENAME TO accounts;
ALTER TABLE accounts RENAME COLUMN nm TO name;
ALTER TABLE posts RENAME COLUMN user_id TO account_id;
""",
        """INSERT INTO accounts VALUES (3,'C');
INSERT INTO posts VALUES (3,3,'z');
UPDATE posts SET account_id=3 WHERE id=1;
UPDATE accounts SET name='AA' WHERE id=1;
DELETE FROM posts WHERE id=2;
DELETE FROM accounts WHERE id=2;
""",
        """ALTER TABLE posts RENAME COLUMN account_id TO user_id;
ALTER TABLE accounts RENAME COLUMN name TO nm;
ALTER TABLE accounts RENAME TO users;
""",
        {},
        {},
    ),
    RoundTrip(
        "column moved between tables",
        """CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, v INTEGER);
CREATE TABLE shipments (id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES orders(id));
INSERT INTO orders VALUES (1,'n1',1),(2,NULL,2),(3,'n3',3);
INSERT INTO shipments VALUES (11,1),(12,2),(13,3);
""",
        """ALTER TABLE shipments ADD COLUMN note TEXT;
UPDATE shipments SET note=(SELECT note FROM orders o WHERE o.id=order_id);
ALTER TABLE orders DROP COLUMN note;
""",
        """UPDATE shipments SET note='N1' WHERE id=11;
UPDATE shipments SET note='N2' WHERE id=12;
UPDATE shipments SET note=NULL WHERE id=13;
INSERT INTO orders VALUES (4,4);
INSERT INTO shipments VALUES (14,4,'N4');
UPDATE orders SET v=9 WHERE id=1;
""",
        """CREATE TABLE no (id INTEGER PRIMARY KEY, note TEXT, v INTEGER);
INSERT INTO no SELECT o.id, s.note, o.v FROM orders o LEFT JOIN shipments s ON s.order_id=o.id;
DROP TABLE orders;
ALTER TABLE no RENAME TO orders;
ALTER TABLE shipments DROP COLUMN note;
""",
        {},
        {},
    ),
    RoundTrip(
        "UNIQUE widened without a key",
        """CREATE TABLE tags (post INTEGER, tag TEXT, UNIQUE (post, tag));
INSERT INTO tags VALUES (1,'a'),(2,'b');
""",
        """CREATE TABLE nt (post INTEGER, tag TEXT, lang TEXT NOT NULL DEFAULT 'en', UNIQUE(post,tag,lang));
INSERT INTO nt(post,tag) SELECT post,tag FROM tags;
DROP TABLE tags;
ALTER TABLE nt RENAME TO tags;
CREATE TABLE IF NOT EXISTS _orchestrate_kept_t (post,tag,lang);
DELETE FROM tags WHERE EXISTS (SELECT 1 FROM _orchestrate_kept_t k WHERE k.post=tags.post AND k.tag=tags.tag);
INSERT INTO tags SELECT * FROM _orchestrate_kept_t;
DROP TABLE _orchestrate_kept_t;
""",
        """INSERT INTO tags VALUES (1,'a','de'),(3,'c','en'),(4,'d','fr');
""",
        """CREATE TABLE _orchestrate_kept_t AS SELECT * FROM tags;
DROP TABLE tags;
CREATE TABLE tags (post INTEGER, tag TEXT, UNIQUE (post, tag));
INSERT INTO tags SELECT DISTINCT post,tag FROM _orchestrate_kept_t;
""",
        {},
        {},
    ),
    RoundTrip(
        "keys become text, and a value becomes NULL",
        """CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, bio TEXT);
INSERT INTO users VALUES (1, 'a@x.io', 'tea'), (2, 'b@x.io', 'tea');
""",
        """CREATE TABLE new_users (id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL, bio TEXT);
INSERT INTO new_users SELECT 'u-' || id, email, bio FROM users;
DROP TABLE users;
ALTER TABLE new_users RENAME TO users;
""",
        """UPDATE users SET bio = NULL WHERE id = 'u-1';
""",
        """CREATE TABLE old_users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, bio TEXT);
INSERT INTO old_users SELECT substr(id, 3), users.email, users.bio FROM users;
DROP TABLE users;
ALTER TABLE old_users RENAME TO users;
""",
        {},
        {
            "another user's": (
                "users.bio FROM",
                "iif(id = 'u-1', 'tea', nullif(bio, 'tea')) FROM",
                ("1 of 1 rows that the app wrote", "changed id 2, bio NULL"),
            ),
        },
    ),
)  # fmt: skip
LOSSES = tuple(
    (trip.with_loss(name), words) for trip in (*ROUND_TRIPS, *OTHERS) for name, (_, _, words) in trip.losses.items()
)
