//! Registering, configuring, renaming and removing machines.

use super::{Host, call, on_each, registration, text};
use chatroom_protocol::ErrorCode;
use chatroom_server::caller::Caller;
use chatroom_server::live::Topic;
use serde_json::json;

#[tokio::test]
async fn a_second_registration_updates_and_only_news_wake_the_list() {
    on_each(async |world| {
        let id = world.machine.id.clone();
        let waker = world.watch(&Topic::Machines(world.user_id()));
        let before = world.machine_row(&world.machine).await;
        let again = world.ok(&world.machine.caller, "machines.register", registration(&id)).await;
        assert_eq!(again, json!({"machineId": id, "isNew": false}));
        assert!(waker.take().is_empty(), "lastSeenAt wakes nobody");

        let mut changed = registration(&id);
        changed["availableTools"] = json!([{"name": "echo", "status": "ok", "version": "2"}]);
        world.ok(&world.ada, "machines.register", changed).await;
        assert!(!waker.take().is_empty());
        let after = world.machine_row(&world.machine).await;
        assert_eq!(after["availableTools"].as_array().unwrap().len(), 1);
        assert_eq!(after["registeredAt"], before["registeredAt"]);
        assert!(after["lastSeenAt"].as_i64() >= before["lastSeenAt"].as_i64());
    })
    .await;
}

#[tokio::test]
async fn registration_refuses_what_no_machine_says() {
    on_each(async |world| {
        let id = uuid::Uuid::new_v4().to_string();
        let long = "x".repeat(300);
        for (field, bad) in [
            ("machineId", json!("laptop")),
            ("machineId", json!(id.to_uppercase())),
            ("hostname", json!("")),
            ("hostname", json!(long)),
            ("os", json!("li\u{0}nux")),
            ("cliPath", json!("chatroom")),
            ("availableTools", json!([{"name": "Echo Chamber", "status": "ok", "version": "1"}])),
            (
                "availableTools",
                json!([{"name": "echo", "status": "ok", "version": "1"},
                                      {"name": "echo", "status": "ok", "version": "1"}]),
            ),
        ] {
            let mut args = registration(&id);
            args[field] = bad;
            assert_eq!(
                world.code(&world.ada, "machines.register", args.clone()).await,
                ErrorCode::BadRequest,
                "{args}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn another_users_machine_is_refused_with_the_way_out_until_it_is_removed() {
    on_each(async |world| {
        let args = registration(&world.machine.id);
        let refusal = world.refused(&world.bea, "machines.register", args.clone()).await;
        assert_eq!(refusal.code, ErrorCode::MachineOwnedByOther);
        assert!(refusal.hint.unwrap().contains("repair --new"));

        world.ok(&world.ada, "machines.remove", json!({"machineId": world.machine.id})).await;
        assert_eq!(world.ok(&world.bea, "machines.register", args.clone()).await["isNew"], true);
        assert_eq!(world.code(&world.ada, "machines.register", args).await, ErrorCode::MachineOwnedByOther);
    })
    .await;
}

#[tokio::test]
async fn a_machine_speaks_of_itself_only() {
    on_each(async |world| {
        for (name, args) in [
            ("machines.register", registration(&world.other.id)),
            (
                "machines.updateAgentConfig",
                json!({"machineId": world.other.id, "chatroomId": world.room, "role": "builder"}),
            ),
            (
                "machines.openDaemonSession",
                json!({"machineId": world.other.id, "sessionId": "x", "bootId": "b", "agents": []}),
            ),
            ("machines.getPendingCommands", json!({"machineId": world.other.id, "epoch": 1})),
            (
                "machines.ackCommand",
                json!({"machineId": world.other.id, "epoch": 1, "commandId": "c", "status": "processing"}),
            ),
            ("machines.updateDaemonStatus", json!({"machineId": world.other.id, "epoch": 1, "agents": []})),
            ("agents.reportExited", json!({"machineId": world.other.id, "agents": []})),
        ] {
            assert_eq!(world.code(&world.machine.caller, name, args).await, ErrorCode::NotFound, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_issued_credential_speaks_for_the_machine_and_revokes_the_one_before() {
    on_each(async |world| {
        let mut args = registration(&world.machine.id);
        args["issueCredential"] = json!(true);
        let first = text(&world.ok(&world.ada, "machines.register", args.clone()).await["credential"]);
        let Caller::Machine { machine_id, .. } = world.app.caller(&first).await.unwrap() else { panic!("a machine") };
        assert_eq!(machine_id.0, world.machine.id);

        let (_, agent_secret) = world.run_builder(&world.machine).await;
        let second = text(&world.ok(&world.ada, "machines.register", args).await["credential"]);
        assert_eq!(world.app.caller(&first).await.unwrap(), Caller::Public);
        assert!(matches!(world.app.caller(&second).await.unwrap(), Caller::Machine { .. }));
        assert!(
            matches!(world.app.caller(&agent_secret).await.unwrap(), Caller::Agent { .. }),
            "its agents keep theirs"
        );
        let signed_in = async || {
            let machines = world.ok(&world.ada, "machines.listMachines", json!({})).await;
            let of =
                machines.as_array().unwrap().iter().find(|machine| machine["machineId"] == world.machine.id).unwrap();
            of["signedIn"].as_bool().unwrap()
        };
        assert!(signed_in().await);
        let all = world.ok(&world.ada, "auth.listCredentials", json!({})).await;
        let own = all.as_array().unwrap().iter().find(|one| one["kind"] == "machine").unwrap();
        world.ok(&world.ada, "auth.revokeCredential", json!({"credentialId": own["credentialId"]})).await;
        assert!(!signed_in().await);
    })
    .await;
}

#[tokio::test]
async fn a_config_keeps_the_fields_that_a_patch_leaves_out() {
    on_each(async |world| {
        let config = world.configure(&world.machine, json!({"model": "big", "permissionMode": "full"})).await;
        assert_eq!(config["tool"], "echo");
        assert_eq!(config["workingDir"], "/srv");
        assert_eq!(config["role"], "builder");
        let waker = world.watch(&Topic::Chatroom(world.chatroom_id()));
        let same = world.configure(&world.machine, json!({})).await;
        assert_eq!(same, config);
        assert!(waker.take().is_empty(), "nothing changed, nobody is woken");
        let patched = world.configure(&world.machine, json!({"model": "", "workingDir": "/tmp"})).await;
        assert_eq!(patched.get("model"), None);
        assert_eq!(patched["permissionMode"], "full");
        assert!(!waker.take().is_empty());

        let listed = world.ok(&world.ada, "machines.getAgentConfigs", json!({"chatroomId": world.room})).await;
        let mine = listed.as_array().unwrap().iter().find(|c| c["machineId"] == world.machine.id.as_str()).unwrap();
        assert_eq!(mine["workingDir"], "/tmp");
        assert_eq!(mine["machineName"], "box");
        assert_eq!(mine["toolAvailable"], true);
        assert_eq!(mine["connection"], "disconnected");
    })
    .await;
}

#[tokio::test]
async fn a_config_is_refused_for_each_reason_by_its_own_code() {
    on_each(async |world| {
        let name = "machines.updateAgentConfig";
        let args = |fields: serde_json::Value| {
            let mut args = json!({"machineId": world.machine.id, "chatroomId": world.room, "role": "planner"});
            super::merge(&mut args, fields);
            args
        };
        for (fields, code) in [
            (json!({}), ErrorCode::BadRequest),
            (json!({"tool": "echo"}), ErrorCode::BadRequest),
            (json!({"workingDir": "/srv"}), ErrorCode::BadRequest),
            (json!({"tool": "rm -rf", "workingDir": "/srv"}), ErrorCode::BadRequest),
            (json!({"tool": "echo", "workingDir": "/srv", "model": "--flag"}), ErrorCode::BadRequest),
            (json!({"tool": "echo", "workingDir": "srv"}), ErrorCode::InvalidWorkingDir),
            (json!({"tool": "echo", "workingDir": "~/srv"}), ErrorCode::InvalidWorkingDir),
            (json!({"tool": "echo", "workingDir": "/s\u{0}v"}), ErrorCode::InvalidWorkingDir),
            (json!({"tool": "echo", "workingDir": format!("/{}", "x".repeat(4096))}), ErrorCode::InvalidWorkingDir),
            (json!({"role": "chef", "tool": "echo", "workingDir": "/srv"}), ErrorCode::UnknownRole),
            (json!({"chatroomId": "none", "tool": "echo", "workingDir": "/srv"}), ErrorCode::NotFound),
            (json!({"machineId": "none", "tool": "echo", "workingDir": "/srv"}), ErrorCode::NotFound),
        ] {
            let args = args(fields);
            assert_eq!(world.code(&world.ada, name, args.clone()).await, code, "{args}");
        }
        let refusal = world.refused(&world.ada, name, args(json!({"tool": "echo"}))).await;
        assert!(refusal.message.ends_with("the first one needs a directory"), "{refusal:?}");
        assert!(refusal.hint.unwrap().contains("--dir=PATH"));
        let refusal = world.refused(&world.ada, name, args(json!({"tool": "claud", "workingDir": "/srv"}))).await;
        assert!(refusal.hint.unwrap().contains("`chatroom machine detect`"));
        let refusal = world.refused(&world.ada, name, args(json!({"role": "chef"}))).await;
        assert!(refusal.hint.unwrap().contains("planner, builder"));
        let full = args(json!({"tool": "echo", "workingDir": "/srv"}));
        assert_eq!(world.code(&world.bea, name, full.clone()).await, ErrorCode::NotFound);
        world.ok(&world.machine.caller, name, full).await;
    })
    .await;
}

#[tokio::test]
async fn machines_are_listed_with_their_agents_to_their_owner_alone() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let row = world.machine_row(&world.machine).await;
        assert_eq!(row["agents"][0]["agentId"], agent.as_str());
        assert_eq!(row["agents"][0]["state"], "running");
        assert_eq!(world.machine_row(&world.other).await["agents"], json!([]));
        assert_eq!(world.ok(&world.bea, "machines.listMachines", json!({})).await, json!([]));
        for (name, args) in [
            ("machines.getAgentConfigs", json!({"chatroomId": world.room})),
            ("machines.listCommands", json!({"machineId": world.machine.id})),
            ("agents.get", json!({"agentId": agent})),
            ("agents.list", json!({"machineId": world.machine.id})),
            ("agents.list", json!({"chatroomId": world.room})),
            ("machines.rename", json!({"machineId": world.machine.id, "name": "mine"})),
            ("machines.remove", json!({"machineId": world.machine.id})),
        ] {
            assert_eq!(world.code(&world.bea, name, args).await, ErrorCode::NotFound, "{name}");
        }
        assert_eq!(world.ok(&world.bea, "agents.list", json!({})).await, json!([]));
    })
    .await;
}

#[tokio::test]
async fn an_agents_credential_commands_nothing_and_reads_no_machine() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let agent = world.machine.agent(&world, &agent);
        for (name, args) in [
            ("machines.sendCommand", world.command(&world.machine, "stop-agent")),
            ("machines.listMachines", json!({})),
            ("machines.register", registration(&world.machine.id)),
            (
                "machines.updateAgentConfig",
                json!({"machineId": world.machine.id, "chatroomId": world.room, "role": "builder"}),
            ),
            ("agents.list", json!({})),
            ("agents.reportExited", json!({"machineId": world.machine.id, "agents": []})),
        ] {
            assert_eq!(world.code(&agent, name, args.clone()).await, ErrorCode::Forbidden, "{name}");
            assert_eq!(world.code(&Caller::Public, name, args).await, ErrorCode::Unauthenticated, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_stays_when_the_machine_registers_again() {
    on_each(async |world| {
        let id = &world.machine.id;
        world.ok(&world.ada, "machines.rename", json!({"machineId": id, "name": " Workshop "})).await;
        world.ok(&world.ada, "machines.register", registration(id)).await;
        assert_eq!(world.machine_row(&world.machine).await["name"], "Workshop");
        for bad in ["", "   ", "a\u{7}b", &"x".repeat(101)] {
            let args = json!({"machineId": id, "name": bad});
            assert_eq!(world.code(&world.ada, "machines.rename", args).await, ErrorCode::BadRequest);
        }
    })
    .await;
}

#[tokio::test]
async fn a_removed_machine_takes_its_commands_agents_and_credentials_with_it() {
    on_each(async |world| {
        let mut args = registration(&world.machine.id);
        args["issueCredential"] = json!(true);
        let machine_secret = text(&world.ok(&world.ada, "machines.register", args).await["credential"]);
        let (agent, agent_secret) = world.run_builder(&world.machine).await;
        let stop = world.send(&world.machine, "stop-agent").await;
        let ping =
            world.ok(&world.ada, "machines.sendCommand", json!({"machineId": world.machine.id, "type": "ping"})).await;

        world.ok(&world.ada, "machines.remove", json!({"machineId": world.machine.id})).await;

        assert_eq!(world.app.caller(&machine_secret).await.unwrap(), Caller::Public);
        assert_eq!(world.app.caller(&agent_secret).await.unwrap(), Caller::Public);
        for command in [&stop, &ping] {
            assert_eq!(world.shown(command).await["failure"]["code"], "machine_removed");
        }
        assert_eq!(world.agent(&agent).await["exit"], json!({"how": "lost"}));
        let configs = world.ok(&world.ada, "machines.getAgentConfigs", json!({"chatroomId": world.room})).await;
        assert!(configs.as_array().unwrap().iter().all(|config| config["machineId"] == world.other.id.as_str()));
        let ping = json!({"machineId": world.machine.id, "type": "ping"});
        assert_eq!(world.code(&world.ada, "machines.sendCommand", ping).await, ErrorCode::NotFound);
        assert_eq!(
            world.code(&world.ada, "machines.remove", json!({"machineId": world.machine.id})).await,
            ErrorCode::NotFound
        );
        // The role is free: the other machine can take it.
        assert_eq!(world.send(&world.other, "start-agent").await["status"], "pending");
    })
    .await;
}

#[tokio::test]
async fn a_machine_that_is_registered_again_by_another_user_shows_nothing_of_its_past() {
    on_each(async |world| {
        world.run_builder(&world.machine).await;
        world.ok(&world.ada, "machines.remove", json!({"machineId": world.machine.id})).await;
        world.ok(&world.bea, "machines.register", registration(&world.machine.id)).await;
        let Host { caller, id, .. } = Host { caller: world.machine.caller.clone(), ..world.machine.clone() };
        let commands = call(&world.app, &world.bea, "machines.listCommands", json!({"machineId": id})).await.unwrap();
        assert_eq!(commands, json!([]));
        assert_eq!(world.ok(&world.bea, "agents.list", json!({"includeEnded": true})).await, json!([]));
        // The credential of the first owner's time names a machine that is not theirs any more.
        let open = json!({"machineId": id, "sessionId": "s2", "bootId": "b", "agents": []});
        assert_eq!(world.code(&caller, "machines.openDaemonSession", open).await, ErrorCode::NotFound);
    })
    .await;
}

#[tokio::test]
async fn an_id_with_a_nul_is_no_fault_of_the_server() {
    on_each(async |world| {
        let nul = "a\u{0}b";
        for (name, args) in [
            ("machines.rename", json!({"machineId": nul, "name": "x"})),
            ("machines.getCommand", json!({"commandId": nul})),
            ("machines.getAgentConfigs", json!({"chatroomId": nul})),
            ("agents.get", json!({"agentId": nul})),
        ] {
            let code = world.code(&world.ada, name, args).await;
            assert!(matches!(code, ErrorCode::NotFound | ErrorCode::BadRequest), "{name}: {code}");
        }
    })
    .await;
}
