//! The tables of the ledger, as the steps that a file takes to get them.

use crate::database::CONTAINED;

/// Only ever to be added to.
pub const STEPS: [&str; 8] = [
    FIRST,
    RETURNS,
    IN_ORDER,
    super::audit::TABLE,
    VERDICTS,
    CONTAINED,
    BY_BEGINNING,
    MOVES,
];

/// The tables of a query about what came back, each with its event.
pub const RETURNED: &str = "returns CROSS JOIN events INDEXED BY events_by_message
     ON substr(events.message_id, 1, 8) = substr(returns.message_id, 1, 8)
     AND events.message_id = returns.message_id AND events.operation = returns.operation";

/// As it was before files counted their steps, so it must change nothing in a file that has it.
const FIRST: &str = "
CREATE TABLE IF NOT EXISTS worlds (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL, region TEXT NOT NULL, endpoint TEXT NOT NULL, instance TEXT NOT NULL,
    UNIQUE (account, region, endpoint, instance)
);
CREATE TABLE IF NOT EXISTS operations (
    id TEXT PRIMARY KEY,
    world INTEGER NOT NULL REFERENCES worlds (id),
    plan_id TEXT NOT NULL UNIQUE,
    queue_arn TEXT NOT NULL,
    plan TEXT NOT NULL,           -- JSON; the operator's own edit in it is the only text of a message in this file
    state TEXT NOT NULL,          -- running, paused, cancelling, completed, cancelled or failed
    error TEXT,
    requested_by INTEGER,         -- user id of the client
    started_at INTEGER NOT NULL,  -- milliseconds
    ended_at INTEGER
);
CREATE TABLE IF NOT EXISTS events (
    operation TEXT NOT NULL REFERENCES operations (id),
    message_id TEXT NOT NULL,
    queue_arn TEXT NOT NULL,
    state TEXT NOT NULL,
    in_doubt INTEGER NOT NULL DEFAULT 0,
    unknowns INTEGER NOT NULL DEFAULT 0,  -- sends without an answer
    receipt_handle TEXT,
    new_id TEXT,                  -- message id in the source queue, or request id of the invocation
    reason TEXT,
    intent_at INTEGER, sent_at INTEGER, ended_at INTEGER,  -- milliseconds
    PRIMARY KEY (operation, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_message ON events (queue_arn, message_id);
CREATE INDEX IF NOT EXISTS events_by_new_id ON events (operation, new_id) WHERE new_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_in_doubt ON events (operation) WHERE in_doubt = 1;
";

/// What came back, and how far it is known what settled.
const RETURNS: &str = "
ALTER TABLE operations ADD COLUMN sends_to TEXT;  -- name of the queue; none of a function
UPDATE operations SET sends_to = plan ->> '$.target.name' WHERE plan ->> '$.target.kind' = 'queue';
ALTER TABLE events ADD COLUMN signature TEXT;     -- of the failure before it was taken
DROP INDEX events_by_new_id;
CREATE INDEX events_by_new_id ON events (new_id) WHERE new_id IS NOT NULL;
CREATE TABLE returns (
    operation TEXT NOT NULL,
    message_id TEXT NOT NULL,   -- in the dead-letter queue that it was taken from
    back_as TEXT NOT NULL,      -- message id
    back_in TEXT NOT NULL,      -- ARN of the queue
    taken INTEGER NOT NULL,     -- whether someone took it back before it was processed
    signature TEXT,             -- of the new failure
    alike INTEGER NOT NULL,     -- whether it failed as before
    at INTEGER NOT NULL,        -- milliseconds, when it was met
    PRIMARY KEY (operation, message_id),
    FOREIGN KEY (operation, message_id) REFERENCES events (operation, message_id)
) WITHOUT ROWID;
CREATE INDEX returns_by_message ON returns (back_in, back_as);
CREATE TABLE verifications (
    operation TEXT PRIMARY KEY REFERENCES operations (id),
    window_ms INTEGER NOT NULL,
    judged_until INTEGER NOT NULL,  -- what was sent a window before this and is not in returns is settled
    open INTEGER NOT NULL           -- whether there may be more to learn
) WITHOUT ROWID;
CREATE INDEX verifications_open ON verifications (operation) WHERE open = 1;
";

/// Events lie in the order in which they are taken, so that a batch is on one page or two; by their ids, which are random,
/// each would dirty a page of its own with every step it takes. Only the slim indexes are in the order of ids.
const IN_ORDER: &str = "
CREATE TABLE events_in_order (
    operation TEXT NOT NULL REFERENCES operations (id),
    message_id TEXT NOT NULL,
    queue_arn TEXT NOT NULL,
    state TEXT NOT NULL,
    in_doubt INTEGER NOT NULL DEFAULT 0,
    unknowns INTEGER NOT NULL DEFAULT 0,
    receipt_handle TEXT,
    new_id TEXT,
    reason TEXT,
    intent_at INTEGER, sent_at INTEGER, ended_at INTEGER,
    signature TEXT
);
INSERT INTO events_in_order SELECT operation, message_id, queue_arn, state, in_doubt, unknowns, receipt_handle, new_id,
    reason, intent_at, sent_at, ended_at, signature FROM events;
CREATE TABLE returns_kept AS SELECT * FROM returns;
DROP TABLE returns;
DROP TABLE events;
ALTER TABLE events_in_order RENAME TO events;
CREATE UNIQUE INDEX events_by_message ON events (message_id, operation);
CREATE INDEX events_by_operation ON events (operation);
CREATE INDEX events_by_new_id ON events (new_id) WHERE new_id IS NOT NULL;
CREATE INDEX events_in_doubt ON events (operation) WHERE in_doubt = 1;
CREATE TABLE returns (
    operation TEXT NOT NULL,
    message_id TEXT NOT NULL,
    back_as TEXT NOT NULL,
    back_in TEXT NOT NULL,
    taken INTEGER NOT NULL,
    signature TEXT,
    alike INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (operation, message_id)
) WITHOUT ROWID;
INSERT INTO returns SELECT * FROM returns_kept;
DROP TABLE returns_kept;
CREATE INDEX returns_by_message ON returns (back_in, back_as);
";

/// What verdicts have taken into account, and verifications that came to nothing.
const VERDICTS: &str = "
ALTER TABLE verifications ADD COLUMN why TEXT;  -- why not all of it will be known, if so
ALTER TABLE verifications ADD COLUMN considered INTEGER NOT NULL DEFAULT 0;        -- returns that a verdict on a step knew
ALTER TABLE verifications ADD COLUMN considered_alike INTEGER NOT NULL DEFAULT 0;  -- those that failed as before
";

/// Ids are random, so each dirties a page of its own in an index of them; with their beginnings alone, which tell all but few
/// apart, an index has a third of the pages. SQLite takes it where it is named. The id is compared as well, with a
/// `+` before it: otherwise its value would take the place of the column in the expression, and the index would not fit.
const BY_BEGINNING: &str = "
DROP INDEX events_by_message;
DROP INDEX events_by_new_id;
CREATE INDEX events_by_message ON events (substr(message_id, 1, 8));
CREATE INDEX events_by_new_id ON events (substr(new_id, 1, 8)) WHERE new_id IS NOT NULL;
";

/// What a message move task of SQS does, where that carries out an operation.
const MOVES: &str = "
ALTER TABLE operations ADD COLUMN moves_after INTEGER;  -- when the newest other task was started, by SQS's clock in milliseconds
ALTER TABLE operations ADD COLUMN moved INTEGER;        -- messages
";
