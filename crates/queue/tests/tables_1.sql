-- A store whose tables have version 1, as the code of that version made it. SQLite and PostgreSQL can read it.

CREATE TABLE postduif_schema (version BIGINT NOT NULL, oldest BIGINT NOT NULL);
CREATE TABLE postduif_clock (at BIGINT NOT NULL);
CREATE TABLE postduif_flow (
    id TEXT PRIMARY KEY,
    user_id TEXT,
    callout TEXT NOT NULL,
    memo TEXT,
    stop_at BIGINT,
    epoch BIGINT NOT NULL,
    holder TEXT,
    takeovers BIGINT NOT NULL,
    due BIGINT,
    again BIGINT NOT NULL,
    touched BIGINT NOT NULL,
    received BIGINT NOT NULL,
    done_at BIGINT,
    ending TEXT
);
CREATE INDEX postduif_flow_due ON postduif_flow (due) WHERE done_at IS NULL;
CREATE INDEX postduif_flow_user ON postduif_flow (user_id, received);
CREATE TABLE postduif_entry (
    flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE,
    no BIGINT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (flow, no)
);
CREATE TABLE postduif_report (
    flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE,
    no BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (flow, no)
);
CREATE TABLE postduif_reference (
    reference TEXT PRIMARY KEY,
    flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE
);
CREATE TABLE postduif_vendor_id (
    provider TEXT NOT NULL,
    id TEXT NOT NULL,
    flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE,
    PRIMARY KEY (provider, id)
);
CREATE INDEX postduif_reference_flow ON postduif_reference (flow);
CREATE INDEX postduif_vendor_id_flow ON postduif_vendor_id (flow);
CREATE TABLE postduif_user_lock (
    user_id TEXT PRIMARY KEY,
    flow TEXT NOT NULL REFERENCES postduif_flow (id) ON DELETE CASCADE,
    until BIGINT NOT NULL,
    touched BIGINT NOT NULL
);
CREATE INDEX postduif_user_lock_flow ON postduif_user_lock (flow);

INSERT INTO postduif_schema (version, oldest) VALUES (1, 1);
INSERT INTO postduif_clock (at) VALUES (1795971566071);
INSERT INTO postduif_flow (id, user_id, callout, memo, stop_at, epoch, holder, takeovers, due, again, touched, received, done_at, ending) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000001', '0a1b2c3d-4e5f-4a6b-8c7d-00000000000b', '{"flow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000001","user":"0a1b2c3d-4e5f-4a6b-8c7d-00000000000b","callback":{"lifecycle":{"workflow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000064","task":"0a1b2c3d-4e5f-4a6b-8c7d-000000000065","result":"0a1b2c3d-4e5f-4a6b-8c7d-000000000001"}},"created_at":null,"window_s":null,"received_at":"2026-11-18T11:06:41Z"}', NULL, NULL, 1, NULL, 0, NULL, 0, 1795971566077, 1795000001000, 1795971566077, '{"flow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000001","verdict":"completed","provider":"kpn","receipt":{"provider":"kpn","reference":"order41","id":"a-1","part_ids":[],"parts":1,"reports":1,"price":null},"error":null,"code":null,"graph":null,"detail":null,"pass":{"id":"tap-1","valid_until":"2026-11-18T20:00:00Z","one_time":null,"revocation":"not_needed"},"unseen_until":null,"heard":true,"attempts":1,"steps":[]}');
INSERT INTO postduif_flow (id, user_id, callout, memo, stop_at, epoch, holder, takeovers, due, again, touched, received, done_at, ending) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000002', '0a1b2c3d-4e5f-4a6b-8c7d-00000000000c', '{"flow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000002","user":"0a1b2c3d-4e5f-4a6b-8c7d-00000000000c","callback":{"lifecycle":{"workflow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000064","task":"0a1b2c3d-4e5f-4a6b-8c7d-000000000065","result":"0a1b2c3d-4e5f-4a6b-8c7d-000000000002"}},"created_at":null,"window_s":null,"received_at":"2026-11-18T11:06:42Z"}', NULL, NULL, 1, NULL, 0, NULL, 0, 1795971566084, 1795000002000, 1795971566084, '{"flow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000002","verdict":{"failed":"not_accepted"},"provider":"kpn","receipt":null,"error":"insufficient_balance","code":"303","graph":null,"detail":null,"pass":{"id":"tap-2","valid_until":"2026-11-18T20:00:00Z","one_time":null,"revocation":"done"},"unseen_until":null,"heard":true,"attempts":1,"steps":[]}');
INSERT INTO postduif_flow (id, user_id, callout, memo, stop_at, epoch, holder, takeovers, due, again, touched, received, done_at, ending) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000003', '0a1b2c3d-4e5f-4a6b-8c7d-00000000000d', '{"flow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000003","user":"0a1b2c3d-4e5f-4a6b-8c7d-00000000000d","callback":{"lifecycle":{"workflow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000064","task":"0a1b2c3d-4e5f-4a6b-8c7d-000000000065","result":"0a1b2c3d-4e5f-4a6b-8c7d-000000000003"}},"created_at":null,"window_s":null,"received_at":"2026-11-18T11:06:43Z"}', '{"failures":0,"pause_ms":0,"entries":0,"unchanged_ms":0}', NULL, 1, NULL, 0, 1795971566091, 0, 1795971566091, 1795000003000, NULL, NULL);
INSERT INTO postduif_flow (id, user_id, callout, memo, stop_at, epoch, holder, takeovers, due, again, touched, received, done_at, ending) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000004', '0a1b2c3d-4e5f-4a6b-8c7d-00000000000e', '{"flow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000004","user":"0a1b2c3d-4e5f-4a6b-8c7d-00000000000e","callback":{"lifecycle":{"workflow":"0a1b2c3d-4e5f-4a6b-8c7d-000000000064","task":"0a1b2c3d-4e5f-4a6b-8c7d-000000000065","result":"0a1b2c3d-4e5f-4a6b-8c7d-000000000004"}},"created_at":null,"window_s":null,"received_at":"2026-11-18T11:06:44Z"}', NULL, NULL, 0, NULL, 0, 1795971566092, 0, 1795971566092, 1795000004000, NULL, NULL);
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000001', 0, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"issuing":{"round":1,"seen":[]}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000001', 1, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"issued":{"round":1,"tap":"tap-1","valid_until":"2026-11-18T20:00:00Z"}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000001', 2, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"sending":{"round":1,"reference":"order41","provider":"kpn"}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000001', 3, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"accepted":{"round":1,"reference":"order41","provider":"kpn","id":"a-1","parts":1}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000001', 4, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"resuming":{"verdict":"completed"}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000001', 5, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"resumed":{"verdict":"completed","heard":true}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000002', 0, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"issuing":{"round":1,"seen":[]}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000002', 1, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"issued":{"round":1,"tap":"tap-2","valid_until":"2026-11-18T20:00:00Z"}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000002', 2, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"sending":{"round":1,"reference":"order42","provider":"kpn"}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000002', 3, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"not_accepted":{"round":1,"reference":"order42","cause":{"kind":"insufficient_balance","code":"303","provider":"kpn"}}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000002', 4, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"revoking":{"tap":"tap-2","then":{"end":{"failed":"not_accepted"}}}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000002', 5, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"revoked":{"tap":"tap-2","then":{"end":{"failed":"not_accepted"}}}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000002', 6, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"resuming":{"verdict":{"failed":"not_accepted"}}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000002', 7, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"resumed":{"verdict":{"failed":"not_accepted"},"heard":true}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000003', 0, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"issuing":{"round":1,"seen":[]}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000003', 1, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"issued":{"round":1,"tap":"tap-3","valid_until":"2026-11-18T20:00:00Z"}}}');
INSERT INTO postduif_entry (flow, no, at, body) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-000000000003', 2, 1795000000000, '{"v":1,"at":"2026-11-18T11:06:40Z","entry":{"sending":{"round":1,"reference":"order43","provider":"kpn"}}}');
INSERT INTO postduif_reference (reference, flow) VALUES ('order41', '0a1b2c3d-4e5f-4a6b-8c7d-000000000001');
INSERT INTO postduif_reference (reference, flow) VALUES ('order42', '0a1b2c3d-4e5f-4a6b-8c7d-000000000002');
INSERT INTO postduif_reference (reference, flow) VALUES ('order43', '0a1b2c3d-4e5f-4a6b-8c7d-000000000003');
INSERT INTO postduif_vendor_id (provider, id, flow) VALUES ('kpn', 'a-1', '0a1b2c3d-4e5f-4a6b-8c7d-000000000001');
INSERT INTO postduif_user_lock (user_id, flow, until, touched) VALUES ('0a1b2c3d-4e5f-4a6b-8c7d-00000000000d', '0a1b2c3d-4e5f-4a6b-8c7d-000000000003', 1795972166089, 1795971566089);
