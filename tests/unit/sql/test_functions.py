"""Functions that run SQL from a text, or reach outside the database, are refused in every script."""

from pathlib import Path

import pytest

from steps.support.change.folder import read_change
from steps.support.gateways.database.connect import connect
from steps.support.sql.findings import FILES, BadSql
from steps.support.sql.refusals import FUNCTIONS, MODULES, forbidden
from steps.support.sql.script import read_script_text
from steps.support.sql.statement import Statement

CALLS = {
    "SELECT sha3_query('COMMIT')": "sha3_query",
    "SELECT hex( SHA3_Query /* x */ ( 'COMMIT' ) )": "sha3_query",
    "SELECT \"sha3_query\"('COMMIT')": "sha3_query",
    "SELECT [sha3_query]('COMMIT') FROM t": "sha3_query",
    "SELECT 1 WHERE `sha3_query` ('COMMIT') IS NULL": "sha3_query",
    "SELECT (SELECT eval('DROP TABLE t'))": "eval",
    "SELECT readfile('/etc/passwd') AS materialized": "readfile",
    "SELECT readfile('/etc/passwd') AS \"(\"": "readfile",
    "SELECT readfile('/etc/passwd') AS \"not\"": "readfile",
    "SELECT v FROM t WHERE v = writefile('/tmp/x', v)": "writefile",
    "SELECT * FROM t JOIN fsdir('/') ON true": "fsdir",
    "SELECT * FROM fsdir WHERE path = '/'": "fsdir",
    "SELECT * FROM t, main.fsdir": "fsdir",
    "SELECT * FROM main.fsdir('/')": "fsdir",
    "SELECT v IN fsdir('/') FROM t": "fsdir",
    "SELECT data FROM sqlite_dbpage": "sqlite_dbpage",
    "SELECT fts3_tokenizer('simple', x'00')": "fts3_tokenizer",
    "WITH n AS (SELECT load_extension('x')) SELECT * FROM n": "load_extension",
}
WRITES = {
    "INSERT INTO t SELECT edit(v) FROM t": "edit",
    "UPDATE sqlite_dbpage SET data = zeroblob(4096) WHERE pgno = 1": "sqlite_dbpage",
    "UPDATE t SET v = 1 WHERE sha3_query('COMMIT') IS NOT NULL": "sha3_query",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT sha3_query('COMMIT'); END": "sha3_query",
    "CREATE INDEX readfile ON t (readfile(v))": "readfile",
    "CREATE TABLE u (a CHECK (zipfile(a, 1)))": "zipfile",
    "CREATE VIRTUAL TABLE z USING csv(filename='/etc/passwd')": "csv",
    "CREATE VIRTUAL TABLE IF NOT EXISTS z USING \"zipfile\"('/tmp/a.zip')": "zipfile",
}
NO_CALLS = [
    "SELECT eval, edit, 'readfile(1)', \"readfile\" FROM t -- readfile(1)",
    "CREATE TABLE edit (id, eval)",
    "CREATE TABLE IF NOT EXISTS main.eval (id REFERENCES edit(id))",
    "INSERT INTO edit (id) VALUES (1)",
    "INSERT INTO main.edit (id) VALUES (1)",
    'REPLACE INTO "edit"(id) VALUES (1)',
    "CREATE INDEX i ON edit (id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS i ON edit(id)",
    "CREATE VIEW edit (id) AS SELECT 1",
    "WITH edit (id) AS (SELECT 1) SELECT id FROM edit",
    "WITH a AS (SELECT 1), edit(id) AS NOT MATERIALIZED (SELECT 1) SELECT id FROM edit",
    "SELECT fts3_tokenizer('simple'), sha3('x'), json_extract('{}', '$')",
    "SELECT fsdir.x FROM t AS fsdir",
    "ALTER TABLE t ADD COLUMN zipfile CHECK (zipfile > 1)",
]


def found(sql: str) -> list[str]:
    """Return the names that are refused in one statement."""
    (piece,) = read_script_text(sql, "migrate.sql").pieces
    return [name for name, _ in forbidden(piece.tokens)]


@pytest.mark.parametrize(("sql", "name"), {**CALLS, **WRITES}.items())
def test_call_is_found(sql: str, name: str) -> None:
    """A call is found in every spelling of the name, anywhere in a statement, and without parentheses as a table."""
    assert found(sql) == [name]


@pytest.mark.parametrize("sql", NO_CALLS)
def test_objects_of_the_same_name_are_left_alone(sql: str) -> None:
    """A table, a column or a common table expression may have the name of such a function."""
    assert found(sql) == []


@pytest.mark.parametrize("file", FILES)
def test_every_file_refuses_it(file: str, tmp_path: Path) -> None:
    """Scripts, checks, contracts and writes alike are refused, with file, line, function and reason."""
    (tmp_path / "contract").mkdir()
    for name in FILES:
        (tmp_path / name).write_text("SELECT sha3_query('COMMIT');\n" if name == file else "SELECT json(1);\n")
    with pytest.raises(BadSql) as bad:
        read_change(tmp_path)
    assert [str(each).split(". ")[0] for each in bad.value.findings] == [
        f"{file} line 1: sha3_query runs any SQL that a text contains, even COMMIT"
    ]


PLAIN = """
-> ->> abs acos acosh asin asinh atan atan2 atanh atn2 avg bm25 ceil ceiling changes char charindex coalesce concat
concat_ws cos cosh cot coth count cume_dist current_date current_time current_timestamp date datetime degrees
dense_rank difference exp first_value floor format fts5 fts5_source_id geopoly_area geopoly_bbox geopoly_blob
geopoly_ccw geopoly_contains_point geopoly_debug geopoly_group_bbox geopoly_json geopoly_overlap geopoly_regular
geopoly_svg geopoly_within geopoly_xform glob group_concat hex highlight ifnull iif instr json json_array
json_array_length json_error_position json_extract json_group_array json_group_object json_insert json_object
json_patch json_quote json_remove json_replace json_set json_type json_valid jsonb jsonb_array jsonb_extract
jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set
julianday lag last_insert_rowid last_rows_affected last_value lead leftstr length libsql_server_database_name
libsql_vector_idx like likelihood likely ln log log10 lower lower_quartile lsmode ltrim match matchinfo max median
min mode nth_value ntile nullif octet_length offsets optimize padc padl padr percent_rank pi power printf proper
quote radians random randomblob rank regexp regexpi replace replicate reverse rightstr round row_number rtreecheck
rtreedepth rtreenode rtrim sha3 sign sin sinh snippet soundex sqlite3mc_codec_data sqlite3mc_version
sqlite_compileoption_get sqlite_compileoption_used sqlite_crypt sqlite_log sqlite_source_id sqlite_version sqrt
square stdev strfilter strftime string_agg substr substring subtype sum tan tanh time timediff total total_changes
trim typeof unhex unicode unixepoch unlikely upper upper_quartile uuid uuid_blob uuid_str variance vector vector16
vector1bit vector32 vector64 vector8 vector_distance_cos vector_distance_l2 vector_extract vectorb16 zeroblob
carray dbstat fts3 fts3tokenize fts4 fts4aux fts5vocab generate_series geopoly json_each json_tree rtree rtree_i32
sqlite_stmt vector_top_k
"""  # what the server has besides: it reads its arguments, or this database, and changes nothing else


@pytest.mark.anyio
async def test_every_function_of_the_server_is_classified(server: str) -> None:
    """Every function and module of the server is classified, so a newer server's additions fail this test."""
    database = connect(server, None)
    names = "SELECT name FROM pragma_function_list UNION SELECT name FROM pragma_module_list"
    rows = await database.query(Statement(names))
    await database.aclose()
    known = {str(name) for (name,) in rows.values if not str(name).startswith("pragma_")}
    assert known - FUNCTIONS.keys() - MODULES.keys() - {*PLAIN.split()} == set()
