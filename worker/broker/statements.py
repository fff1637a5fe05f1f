"""What the embedded engine asks its tables."""

from typing import Final

PUBLISH: Final = """
INSERT INTO messages (id, state, due, priority, attempt, body, content_type, user_id, content_encoding, traceparent)
VALUES (?, 'ready', ?, ?, 1, ?, ?, ?, ?, ?)
"""
COUNTS: Final = """
SELECT sum(state = 'dead') AS dead, sum(state = 'ready' AND due > ?1) AS parked,
    sum(state = 'ready' AND due <= ?1) AS ready FROM messages
"""
LATEST: Final = "SELECT body FROM events WHERE ?1 IS NULL OR certificate = ?1 ORDER BY number DESC LIMIT ?2"
FROM_THERE: Final = "SELECT number, body FROM events WHERE number > ? ORDER BY number LIMIT ?"
HIGHEST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
REPLAY: Final = """
UPDATE messages SET state = 'ready', due = ?, attempt = 1, deliveries = 0, opened_at = NULL,
reason = NULL, certificate = NULL, renewal_id = NULL, since = NULL WHERE id = ? AND state = 'dead'
"""
DROP: Final = "DELETE FROM messages WHERE id = ? AND state = 'dead'"
UNSEEN: Final = """
SELECT * FROM messages WHERE state = 'dead' AND reason = 'delivery_limit'
"""
"""Also what a worker gave up for that, or for something else before it was replayed: it is judged alike again."""
GIVE_UP: Final = """
UPDATE messages SET state = 'dead', reason = ?, certificate = ?, renewal_id = ?, since = ?,
body = ?, content_type = ?, content_encoding = ? WHERE number = ?
"""
WITHHOLD: Final = """
UPDATE messages SET certificate = ?, renewal_id = ?, body = ?, content_type = ?, content_encoding = ?
WHERE number = ? AND state = 'dead'
"""
TOLD: Final = """
SELECT at, number, body FROM events WHERE id IN (SELECT value FROM json_each(?)) AND certificate IS ? ORDER BY number
"""
KEPT: Final = """
WITH success AS MATERIALIZED (
    SELECT at, number FROM events WHERE certificate = ?1 AND placed >= '1' AND placed < '2'
    ORDER BY at DESC, number DESC LIMIT 1
), with_client_ca AS MATERIALIZED (
    SELECT max(at) AS at, number FROM notes
    WHERE certificate = ?1 AND instr(body, '"has_client_ca": true') > 0
    AND at >= coalesce((SELECT at FROM success), 0)
    GROUP BY json_extract(body, '$.deployment')
), proving AS MATERIALIZED (
    SELECT max(number) AS number FROM events
    WHERE certificate = ?1 AND at >= (SELECT min(at) FROM with_client_ca)
    AND (instr(body, '"succeeded"') > 0 OR instr(body, '"rolled_back"') > 0)
    GROUP BY json_extract(body, '$.data.outcome') = 'succeeded', (
        SELECT group_concat(json_array(
            json_extract(value, '$.gateway'),
            json_extract(value, '$.outcome') = 'succeeded' OR json_extract(value, '$.reason') = 'rolled_back'
        )) FROM json_each(events.body, '$.data.deployments')
    )
)
SELECT at, number, body FROM notes WHERE certificate = ?1 AND instr(body, ?2) > 0
UNION SELECT at, number, body FROM notes WHERE number IN (SELECT number FROM with_client_ca)
UNION SELECT at, number, body FROM events WHERE certificate = ?1 AND leaf = ?2
UNION SELECT at, number, body FROM events
    WHERE number IN (SELECT number FROM success UNION SELECT number FROM proving)
ORDER BY at, number
"""
"""However old: what was found bad is known for as long as it may be put back. The rest of it is left out by its age.

That there was a client CA counts for every leaf, until a success after it (`1` in what was placed), which is had for
the leaf that lost it, too. Of such notes the latest of each deployment says it, and of what was told since, the latest
of what is alike in where it ended well: one event, however often a renewal fails.
"""
PAST: Final = """
WITH placings AS (
    SELECT number, substr(placed, 1, 66) AS place, substr(placed, 68, 1) <> ' ' AS has_changed,
        number = max(number) OVER (PARTITION BY placed) AS is_latest
    FROM events WHERE certificate = ?1 AND placed IS NOT NULL
), ranked AS (
    SELECT number, has_changed, is_latest,
        row_number() OVER (PARTITION BY place ORDER BY number) AS nth,
        row_number() OVER (PARTITION BY place, is_latest ORDER BY number DESC) AS nth_latest,
        row_number() OVER (PARTITION BY place, has_changed ORDER BY number DESC) AS nth_change
    FROM placings WHERE place IN (
        SELECT substr(placed, 1, 66) AS place FROM events WHERE certificate = ?1 AND placed IS NOT NULL
        GROUP BY place ORDER BY max(number) DESC LIMIT ?2
    )
)
SELECT at, number, body FROM events WHERE number IN (
    SELECT number FROM ranked
    WHERE nth = 1 OR (is_latest AND nth_latest <= 4) OR (has_changed AND nth_change <= 8)
) ORDER BY number
"""
"""Of each leaf what was told first, under its latest ids, and of its latest changes: however often it came again."""
