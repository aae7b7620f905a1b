BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'sunmode','m001_first_tables','2026-11-25 12:37:08.985132+00:00');
CREATE TABLE breaker (
        name TEXT PRIMARY KEY,
        boot_id TEXT NOT NULL,
        open_until_s REAL NOT NULL, open_until TEXT NOT NULL,
        strikes INTEGER NOT NULL, kind TEXT
    ) STRICT, WITHOUT ROWID;
CREATE TABLE call (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        boot_id TEXT NOT NULL,
        reserved_s REAL NOT NULL, reserved_at TEXT NOT NULL,
        completed_s REAL, completed_at TEXT,
        endpoint TEXT NOT NULL, subject TEXT NOT NULL,
        toward_safety INTEGER NOT NULL,
        outcome TEXT,                 -- NULL: under way, or lost with its process
        http_status INTEGER, code INTEGER, ms INTEGER
    ) STRICT;
INSERT INTO "call" VALUES(1,'virtual',0.0,'2026-06-02T08:00:00.000Z',1.81750457774185497639e-01,'2026-06-02T08:00:00.181Z','getRealtimeInfo','VIRTUALINV',0,'ok',200,0,182);
INSERT INTO "call" VALUES(2,'virtual',1.81750457774185497639e-01,'2026-06-02T08:00:00.181Z',6.2453213906266769051e-01,'2026-06-02T08:00:00.624Z','getPileInfo','SQ1',0,'ok',200,NULL,443);
INSERT INTO "call" VALUES(3,'virtual',3.00624532139062694124e+02,'2026-06-02T08:05:00.624Z',3.00893432409775414266e+02,'2026-06-02T08:05:00.893Z','getPileInfo','SQ1',0,'ok',200,NULL,269);
INSERT INTO "call" VALUES(4,'virtual',3.07681750457774171535e+02,'2026-06-02T08:05:07.681Z',307.944822664529,'2026-06-02T08:05:07.944Z','getRealtimeInfo','VIRTUALINV',0,'ok',200,0,263);
INSERT INTO "call" VALUES(5,'virtual',307.944822664529,'2026-06-02T08:05:07.944Z',308.108215100617,'2026-06-02T08:05:08.108Z','pileCmd','SQ1',0,'ok',200,NULL,163);
INSERT INTO "call" VALUES(6,'virtual',3.61893432409775414279e+02,'2026-06-02T08:06:01.893Z',3.62137240243784049205e+02,'2026-06-02T08:06:02.137Z','getPileInfo','SQ1',0,'ok',200,NULL,244);
INSERT INTO "call" VALUES(7,'virtual',4.82137240243784049188e+02,'2026-06-02T08:08:02.137Z',4.82559179356099264166e+02,'2026-06-02T08:08:02.559Z','getPileInfo','SQ1',0,'ok',200,NULL,422);
INSERT INTO "call" VALUES(8,'virtual',6.02559179356099321005e+02,'2026-06-02T08:10:02.559Z',6.02743458681148581469e+02,'2026-06-02T08:10:02.743Z','getPileInfo','SQ1',0,'ok',200,NULL,184);
INSERT INTO "call" VALUES(9,'virtual',6.04681750457774114682e+02,'2026-06-02T08:10:04.681Z',6.04831458982643425763e+02,'2026-06-02T08:10:04.831Z','getRealtimeInfo','VIRTUALINV',0,'ok',200,0,150);
INSERT INTO "call" VALUES(10,'virtual',7.22743458681148581495e+02,'2026-06-02T08:12:02.743Z',7.23238611685498881346e+02,'2026-06-02T08:12:03.238Z','getPileInfo','SQ1',0,'ok',200,NULL,495);
INSERT INTO "call" VALUES(11,'virtual',8.43238611685498881329e+02,'2026-06-02T08:14:03.238Z',8.43642903818690797351e+02,'2026-06-02T08:14:03.642Z','getPileInfo','SQ1',0,'ok',200,NULL,404);
INSERT INTO "call" VALUES(12,'virtual',9.01681750457774114707e+02,'2026-06-02T08:15:01.681Z',9.02019030389468412078e+02,'2026-06-02T08:15:02.019Z','getRealtimeInfo','VIRTUALINV',0,'ok',200,0,337);
INSERT INTO "call" VALUES(13,'virtual',9.02019030389468412078e+02,'2026-06-02T08:15:02.019Z',9.02442100446600761667e+02,'2026-06-02T08:15:02.442Z','getPileInfo','SQ1',0,'ok',200,NULL,423);
INSERT INTO "call" VALUES(14,'virtual',1.02244210044660076167e+03,'2026-06-02T08:17:02.442Z',1.0228207044965639625e+03,'2026-06-02T08:17:02.820Z','getPileInfo','SQ1',0,'ok',200,NULL,379);
INSERT INTO "call" VALUES(15,'virtual',1.14282070449656384877e+03,'2026-06-02T08:19:02.820Z',1.14314670130713102482e+03,'2026-06-02T08:19:03.146Z','getPileInfo','SQ1',0,'ok',200,NULL,326);
INSERT INTO "call" VALUES(16,'virtual',1.19868175045777411468e+03,'2026-06-02T08:19:58.681Z',1.19902343908230318446e+03,'2026-06-02T08:19:59.023Z','getRealtimeInfo','VIRTUALINV',0,'ok',200,0,342);
INSERT INTO "call" VALUES(17,'virtual',1.19902343908230318446e+03,'2026-06-02T08:19:59.023Z',1.19941342264983563832e+03,'2026-06-02T08:19:59.413Z','getPileInfo','SQ1',0,'ok',200,NULL,390);
INSERT INTO "call" VALUES(18,'virtual',1.31941342264983563832e+03,'2026-06-02T08:21:59.413Z',1.31964396017376520825e+03,'2026-06-02T08:21:59.643Z','getPileInfo','SQ1',0,'ok',200,NULL,231);
INSERT INTO "call" VALUES(19,'virtual',1.43964396017376520826e+03,'2026-06-02T08:23:59.643Z',1.43984946914521401593e+03,'2026-06-02T08:23:59.849Z','getPileInfo','SQ1',0,'ok',200,NULL,206);
INSERT INTO "call" VALUES(20,'virtual',1.49568175045777411466e+03,'2026-06-02T08:24:55.681Z',1.49601135928724670526e+03,'2026-06-02T08:24:56.011Z','getRealtimeInfo','VIRTUALINV',0,'ok',200,0,330);
INSERT INTO "call" VALUES(21,'virtual',1.49601135928724670526e+03,'2026-06-02T08:24:56.011Z',1.49616976296487655417e+03,'2026-06-02T08:24:56.169Z','getPileInfo','SQ1',0,'ok',200,NULL,158);
INSERT INTO "call" VALUES(22,'virtual',1500.0,'2026-06-02T08:25:00.000Z',1.5003953156028183003e+03,'2026-06-02T08:25:00.395Z','pileCmd','SQ1',1,'ok',200,NULL,395);
CREATE TABLE charger_reading (
        id INTEGER PRIMARY KEY,
        received_at TEXT NOT NULL,
        charger TEXT NOT NULL,
        mode INTEGER, status INTEGER NOT NULL, status_code INTEGER,
        ev_w REAL, session_kwh REAL
    ) STRICT;
INSERT INTO "charger_reading" VALUES(1,'2026-06-02T08:00:00.624Z','garage',0,0,0,0.0,0.0);
INSERT INTO "charger_reading" VALUES(2,'2026-06-02T08:05:00.893Z','garage',0,1,1,0.0,0.0);
INSERT INTO "charger_reading" VALUES(3,'2026-06-02T08:06:02.137Z','garage',2,2,2,0.0,0.0);
INSERT INTO "charger_reading" VALUES(4,'2026-06-02T08:08:02.559Z','garage',2,2,2,3450.0,0.1);
INSERT INTO "charger_reading" VALUES(5,'2026-06-02T08:14:03.642Z','garage',2,2,2,3450.0,0.44);
INSERT INTO "charger_reading" VALUES(6,'2026-06-02T08:19:59.413Z','garage',2,2,2,3450.0,0.73);
CREATE TABLE command (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        charger TEXT NOT NULL, serial TEXT NOT NULL,
        mode INTEGER NOT NULL,
        decision_at TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        toward_safety INTEGER NOT NULL,
        reason TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN
            ('intent', 'sent', 'accepted', 'acknowledged', 'confirmed', 'failed', 'unknown', 'superseded')),
        task_id TEXT,
        boot_id TEXT NOT NULL, intended_s REAL NOT NULL, intended_at TEXT NOT NULL,
        sent_at TEXT
    ) STRICT;
INSERT INTO "command" VALUES(1,'garage','SQ1',2,'2026-06-02T08:05:07.944Z',1,0,'ECO at 3500 W surplus; next change below 690 W for 450 s','confirmed','201dc2b09424077267bffb3cc63862ab','virtual',307.944822664529,'2026-06-02T08:05:07.944Z','2026-06-02T08:05:07.944Z');
INSERT INTO "command" VALUES(2,'garage','SQ1',0,'2026-06-02T08:25:00.000Z',1,1,'STOP, for sunmode stops','accepted','eb753f819276318558f29a87517f38b9','virtual',1500.0,'2026-06-02T08:25:00.000Z','2026-06-02T08:25:00.000Z');
CREATE TABLE command_event (
        id INTEGER PRIMARY KEY,
        command_id INTEGER NOT NULL REFERENCES command (id) ON DELETE CASCADE,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT
    ) STRICT;
INSERT INTO "command_event" VALUES(1,1,'2026-06-02T08:05:07.944Z','intent',NULL);
INSERT INTO "command_event" VALUES(2,1,'2026-06-02T08:05:07.944Z','sent',NULL);
INSERT INTO "command_event" VALUES(3,1,'2026-06-02T08:05:08.108Z','accepted',NULL);
INSERT INTO "command_event" VALUES(4,1,'2026-06-02T08:06:02.137Z','confirmed',NULL);
INSERT INTO "command_event" VALUES(5,2,'2026-06-02T08:25:00.000Z','intent',NULL);
INSERT INTO "command_event" VALUES(6,2,'2026-06-02T08:25:00.000Z','sent',NULL);
INSERT INTO "command_event" VALUES(7,2,'2026-06-02T08:25:00.395Z','accepted',NULL);
CREATE TABLE context (
        id INTEGER PRIMARY KEY,
        content TEXT NOT NULL UNIQUE  -- JSON: what seldom changes; shared by many decisions
    ) STRICT;
INSERT INTO "context" VALUES(1,'{"charger":{"name":"garage","serial":"SQ1","phases":1,"max_current_a":32.0,"eco_gear_a":6.0,"green_gear_a":6.0,"priority":1,"car_max_w":null},"tariff":[0.3,0.08,[]],"guard":{"fresh_s":420.0,"stale_s":900.0,"lease_s":900.0,"green_commissioned":false,"dwell_s":{"STOP":300.0,"FAST":300.0,"ECO":300.0,"GREEN":300.0},"max_changes_per_day":24,"switch_cost_eur":0.01,"goal_margin_s":1800.0,"goal_release_s":900.0},"strategy":"threshold","params":{"green_start_factor":0.5,"green_stop_factor":0.2,"eco_by_surplus":true,"eco_start_factor":0.8,"eco_stop_factor":0.5,"fast_by_surplus":false,"fast_start_factor":1.0,"fast_stop_factor":0.8,"start_delay_s":120.0,"stop_delay_s":450.0,"full_rate_w":300.0,"margin_s":1800.0,"release_s":900.0,"idle_mode":0}}');
CREATE TABLE decision (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        charger TEXT NOT NULL,
        mode INTEGER NOT NULL,
        proposed INTEGER NOT NULL,    -- what the strategy wanted
        guard TEXT,                   -- who had the last word where it was not the strategy
        reason_code TEXT NOT NULL,
        reason_params TEXT NOT NULL,  -- JSON
        reason TEXT NOT NULL,         -- the sentence
        lease_until TEXT,
        alternatives TEXT,            -- JSON: [{mode, cost_eur}]
        inputs TEXT NOT NULL,         -- JSON: all that is needed to replay, with `context`
        context_id INTEGER REFERENCES context (id)
    ) STRICT;
INSERT INTO "decision" VALUES(1,'2026-06-02T08:00:00.624Z','garage',0,0,NULL,'threshold.idle','{"mode":"STOP","surplus_w":3500.0,"edge_w":690.0,"wait_s":120.0}','STOP at 3500 W surplus; next change above 690 W for 120 s',NULL,NULL,'{"now":"2026-06-02T08:00:00.624532+00:00","status":0,"mode":0,"ev_w":0.0,"session_kwh":null,"surplus_w":3500.0,"data_age_s":0.44278168128848217,"elapsed_s":0.0,"memory":[],"site":["2026-06-02T08:00:00.181750+00:00","2026-06-02 09:00:00",4000.0,-3500.0,0.0,null],"goal":null,"current":0,"fresh":["2026-06-02 09:00:00",0.1817504577741855,false,-3500.0,4000.0,0],"override":null,"now_s":0.6245321390626677,"changed_at_s":null,"changes_24h":0,"connected":false,"slot_free":true,"serves_goals":true,"need_kwh":0.0,"power_w":7360.0,"goal_left_s":null}',1);
INSERT INTO "decision" VALUES(2,'2026-06-02T08:03:00.000Z','garage',0,2,'hysteresis','guard.no_car','{"mode":"STOP"}','STOP stays, for no car is plugged in',NULL,NULL,'{"now":"2026-06-02T08:03:00+00:00","status":0,"mode":0,"ev_w":0.0,"session_kwh":null,"surplus_w":3500.0,"data_age_s":179.81824954222583,"elapsed_s":60.0,"memory":[0.0,119.37546786093733,0.0,119.37546786093733,0.0,0.0,0.0],"site":["2026-06-02T08:00:00.181750+00:00","2026-06-02 09:00:00",4000.0,-3500.0,0.0,null],"goal":null,"current":0,"fresh":["2026-06-02 09:00:00",0.1817504577741855,false,-3500.0,4000.0,0],"override":null,"now_s":180.0,"changed_at_s":null,"changes_24h":0,"connected":false,"slot_free":true,"serves_goals":true,"need_kwh":0.0,"power_w":7360.0,"goal_left_s":null}',1);
INSERT INTO "decision" VALUES(3,'2026-06-02T08:05:00.893Z','garage',0,2,'lease','guard.lease','{"proposed":"ECO","data":"the data is 5 min old, or older","mode":"STOP"}','STOP instead of ECO, for grid power needs fresh data: the data is 5 min old, or older',NULL,NULL,'{"now":"2026-06-02T08:05:00.893432+00:00","status":1,"mode":0,"ev_w":0.0,"session_kwh":0.0,"surplus_w":3500.0,"data_age_s":300.71168195200124,"elapsed_s":0.8934324097754143,"memory":[1.0,0.0,1.0,0.0,0.0,0.0,0.0],"site":["2026-06-02T08:00:00.181750+00:00","2026-06-02 09:00:00",4000.0,-3500.0,0.0,null],"goal":null,"current":0,"fresh":["2026-06-02 09:00:00",0.1817504577741855,false,-3500.0,4000.0,0],"override":null,"now_s":300.8934324097754,"changed_at_s":null,"changes_24h":0,"connected":true,"slot_free":true,"serves_goals":true,"need_kwh":0.0,"power_w":7360.0,"goal_left_s":null}',1);
INSERT INTO "decision" VALUES(4,'2026-06-02T08:05:07.944Z','garage',2,2,NULL,'threshold.surplus','{"mode":"ECO","surplus_w":3500.0,"edge_w":690.0,"wait_s":450.0}','ECO at 3500 W surplus; next change below 690 W for 450 s','2026-06-02T08:20:07.944Z',NULL,'{"now":"2026-06-02T08:05:07.944823+00:00","status":1,"mode":0,"ev_w":0.0,"session_kwh":0.0,"surplus_w":3500.0,"data_age_s":0.0,"elapsed_s":7.051390254753585,"memory":[1.0,0.0,1.0,0.0,0.0,0.0,0.0],"site":["2026-06-02T08:05:07.944823+00:00","2026-06-02 09:02:10",4000.0,-3500.0,0.0,null],"goal":null,"current":0,"fresh":["2026-06-02 09:02:10",307.944822664529,true,-3500.0,4000.0,0],"override":null,"now_s":307.944822664529,"changed_at_s":null,"changes_24h":0,"connected":true,"slot_free":true,"serves_goals":true,"need_kwh":0.0,"power_w":7360.0,"goal_left_s":null}',1);
CREATE TABLE energy (
        slot_start TEXT NOT NULL,     -- a quarter hour, half-open
        charger TEXT NOT NULL,        -- '' is the house
        pv_kwh REAL NOT NULL, base_load_kwh REAL NOT NULL,
        import_kwh REAL NOT NULL, export_kwh REAL NOT NULL,
        battery_charge_kwh REAL NOT NULL, battery_discharge_kwh REAL NOT NULL,
        ev_kwh REAL NOT NULL, ev_solar_kwh REAL NOT NULL, ev_grid_kwh REAL NOT NULL,
        cost_eur REAL NOT NULL, feed_in_lost_eur REAL NOT NULL,
        missing_s REAL NOT NULL,
        PRIMARY KEY (slot_start, charger)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "energy" VALUES('2026-06-02T08:00:00.000Z','',9.99306075555555617384e-01,2.74526857522024367308e-02,0.0,4.74345362652777768897e-01,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.624532);
INSERT INTO "energy" VALUES('2026-06-02T08:00:00.000Z','garage',0.0,0.0,0.0,0.0,0.0,0.0,4.97508027150575349306e-01,3.97508027150575315999e-01,0.1,0.03,3.18006421720460202839e-02,0.0);
INSERT INTO "energy" VALUES('2026-06-02T08:15:00.000Z','',6.68217017777777755327e-01,1.32364510581130884192e-01,0.0,8.3527127222222212477e-03,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0);
INSERT INTO "energy" VALUES('2026-06-02T08:15:00.000Z','garage',0.0,0.0,0.0,0.0,0.0,0.0,5.27499794474424632539e-01,5.27499794474424632539e-01,0.0,0.0,4.21999835579539711583e-02,0.0);
CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL, level TEXT NOT NULL, kind TEXT NOT NULL,
        charger TEXT, message TEXT NOT NULL, detail TEXT
    ) STRICT;
INSERT INTO "event" VALUES(1,'2026-06-02T08:00:00.000Z','info','start',NULL,'sunmode starts with threshold',NULL);
INSERT INTO "event" VALUES(2,'2026-06-02T08:25:01.395Z','info','stop',NULL,'sunmode stops',NULL);
CREATE TABLE forecast (
        provider TEXT NOT NULL, issued TEXT NOT NULL, slot TEXT NOT NULL,
        p10_w REAL NOT NULL, p50_w REAL NOT NULL, p90_w REAL NOT NULL,
        PRIMARY KEY (provider, issued, slot)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE override (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        set_at TEXT NOT NULL,
        charger TEXT,                 -- NULL: all of them
        mode INTEGER,                 -- NULL: automatic
        until TEXT NOT NULL,
        origin TEXT NOT NULL,
        cleared_at TEXT
    ) STRICT;
CREATE TABLE score (
        day TEXT NOT NULL, strategy TEXT NOT NULL,
        cost_eur REAL, regret_eur REAL,
        ev_kwh REAL, ev_solar_kwh REAL, ev_grid_kwh REAL, unmet_kwh REAL,
        mode_changes INTEGER, detail TEXT,
        PRIMARY KEY (day, strategy)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE session (
        id INTEGER PRIMARY KEY,
        charger TEXT NOT NULL,
        started_at TEXT NOT NULL, ended_at TEXT,
        ev_kwh REAL NOT NULL DEFAULT 0, ev_solar_kwh REAL NOT NULL DEFAULT 0,
        ev_grid_kwh REAL NOT NULL DEFAULT 0, cost_eur REAL NOT NULL DEFAULT 0,
        goal_kwh REAL, goal_deadline TEXT
    ) STRICT;
INSERT INTO "session" VALUES(1,'garage','2026-06-02T08:05:00.893Z',NULL,1.025007821625,0.925007821625,0.1,0.03,NULL,NULL);
CREATE TABLE site_reading (
        id INTEGER PRIMARY KEY,
        received_at TEXT NOT NULL,
        stamp TEXT,           -- the vendor's own time, verbatim
        pv_w REAL, grid_w REAL, battery_w REAL, battery_soc REAL
    ) STRICT;
INSERT INTO "site_reading" VALUES(1,'2026-06-02T08:00:00.181Z','2026-06-02 09:00:00',4000.0,-3500.0,0.0,NULL);
INSERT INTO "site_reading" VALUES(2,'2026-06-02T08:05:07.944Z','2026-06-02 09:02:10',4000.0,-3500.0,0.0,NULL);
INSERT INTO "site_reading" VALUES(3,'2026-06-02T08:10:04.831Z','2026-06-02 09:07:10',4000.0,-50.0,0.0,NULL);
INSERT INTO "site_reading" VALUES(4,'2026-06-02T08:15:02.019Z','2026-06-02 09:12:10',4000.0,-50.0,0.0,NULL);
INSERT INTO "site_reading" VALUES(5,'2026-06-02T08:19:59.023Z','2026-06-02 09:17:10',4000.0,-50.0,0.0,NULL);
INSERT INTO "site_reading" VALUES(6,'2026-06-02T08:24:56.011Z','2026-06-02 09:22:10',4000.0,-50.0,0.0,NULL);
CREATE TABLE state (
        name TEXT PRIMARY KEY, value TEXT NOT NULL  -- JSON
    ) STRICT, WITHOUT ROWID;
INSERT INTO "state" VALUES('accounts','{"at":"2026-06-02T08:25:01.395Z","chargers":{"garage":{"counter_kwh":1.02,"since":[["2026-06-02T08:15:00.000Z",5.225553,0.005007821625,0.005007821625,0.0,0.0,0.00040062573,0.0]]}},"bases_kwh":{"garage":0.0}}');
INSERT INTO "state" VALUES('site_stamp','{"stamp": "2026-06-02 09:22:10", "boot_id": "virtual", "seen_s": 1496.0113592872467, "seen_at": "2026-06-02T08:24:56.011Z"}');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX decision_of_charger ON decision (charger, at);
CREATE INDEX command_open ON command (state)
        WHERE state IN ('intent', 'sent', 'accepted', 'acknowledged');
CREATE INDEX command_task ON command (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX command_event_of_command ON command_event (command_id);
CREATE UNIQUE INDEX session_open ON session (charger) WHERE ended_at IS NULL;
CREATE INDEX override_active ON override (until) WHERE cleared_at IS NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('call',22);
INSERT INTO "sqlite_sequence" VALUES('command',2);
COMMIT;
