-- The audit trail is only ever added to, whoever speaks to this file.

CREATE TRIGGER audit_is_never_changed
    BEFORE UPDATE ON record WHEN old.kind = 'audit' AND old.body IS NOT new.body
BEGIN
    SELECT RAISE(ABORT, 'an entry of the audit trail is never changed');
END;

CREATE TRIGGER audit_is_never_deleted
    BEFORE DELETE ON record WHEN old.kind = 'audit'
BEGIN
    SELECT RAISE(ABORT, 'an entry of the audit trail is never deleted');
END;
