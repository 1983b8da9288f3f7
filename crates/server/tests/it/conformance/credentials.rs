use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{CredentialId, UserId};
use chatroom_protocol::user::TokenScope;
use chatroom_server::caller::Caller;
use chatroom_server::live::Topic;
use chatroom_server::secret;
use chatroom_server::store::audit::KEPT_MS;
use chatroom_server::store::credentials::{self, Holder, NewCredential, OpenedBy};
use std::sync::Arc;

super::cases! {
    a_token_speaks_for_its_user_until_it_ends: ["credentials::insert", "credentials::find_caller"];
    a_machine_and_an_agent_speak_for_themselves: ["credentials::insert", "credentials::find_caller"];
    a_link_speaks_for_nobody_and_is_redeemed_once: ["credentials::redeem_link", "credentials::revoke_links"];
    a_revoked_token_is_silent_and_its_sockets_hear_of_it: ["credentials::revoke", "credentials::list"];
    a_credential_is_revoked_once: ["credentials::revoke"];
    a_session_token_ends_with_the_session_that_lent_it: ["credentials::insert", "credentials::revoke", "credentials::list"];
    a_browser_session_tells_how_it_was_opened: ["credentials::find_browser"];
    the_other_browsers_of_a_user_end_at_once: ["credentials::revoke_other_browsers"];
    who_has_a_credential_is_told_by_machine_and_by_agent: ["credentials::list_machines", "credentials::has_agent"];
    a_machine_takes_its_agents_with_it_when_told: ["credentials::revoke_of_machine", "credentials::revoke_of_agent"];
    last_use_never_goes_back_and_the_dead_are_forgotten: ["credentials::set_last_used", "credentials::delete_old"];
}

async fn mint(world: &World, user_id: &UserId, holder: Holder, expires_at: Option<UnixMs>) -> (CredentialId, String) {
    let new = NewCredential { user_id, holder, name: "test", scope: TokenScope::Full, expires_at };
    let (id, secret) = world.write(async |tx| credentials::insert(tx, &new, NOW).await).await;
    (id, secret::hash(&secret))
}

async fn caller(world: &World, hash: &str, at: UnixMs) -> Caller {
    world.read(async |tx| credentials::find_caller(tx, hash, at).await).await
}

async fn a_token_speaks_for_its_user_until_it_ends(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (id, hash) = mint(&world, &ada, Holder::Cli, Some(NOW + 10)).await;
    let speaks = Caller::User {
        user_id: ada,
        user_name: "Ada".into(),
        is_admin: false,
        credential_id: id,
        scope: TokenScope::Full,
    };
    assert_eq!(caller(&world, &hash, NOW + 9).await, speaks);
    assert_eq!(caller(&world, &hash, NOW + 10).await, Caller::Public);
    assert_eq!(caller(&world, "unheard of", NOW).await, Caller::Public);
}

async fn a_machine_and_an_agent_speak_for_themselves(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    let machine_id = world.machine(&ada).await;
    let agent_id = world.agent(&ada, &room, "builder", &machine_id).await;
    let (credential_id, hash) = mint(&world, &ada, Holder::Machine(machine_id.clone()), None).await;
    let machine = Caller::Machine { user_id: ada.clone(), machine_id: machine_id.clone(), credential_id };
    assert_eq!(caller(&world, &hash, NOW).await, machine);
    let (credential_id, hash) = mint(&world, &ada, Holder::Agent(machine_id.clone(), agent_id.clone()), None).await;
    let agent = Caller::Agent {
        user_id: ada.clone(),
        machine_id: machine_id.clone(),
        agent_id,
        chatroom_id: room,
        role: "builder".into(),
        credential_id,
    };
    assert_eq!(caller(&world, &hash, NOW).await, agent);
    // An agent that nobody knows, or that has ended, speaks for nobody.
    let (_, hash) = mint(&world, &ada, Holder::Agent(machine_id, "gone".into()), None).await;
    assert_eq!(caller(&world, &hash, NOW).await, Caller::Public);
}

async fn a_link_speaks_for_nobody_and_is_redeemed_once(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let (_, hash) = mint(&world, &ada, Holder::Link, Some(NOW + 10)).await;
    assert_eq!(caller(&world, &hash, NOW).await, Caller::Public);
    let redeem = async |hash: &str, at| world.write(async |tx| credentials::redeem_link(tx, hash, at).await).await;
    assert_eq!(redeem(&hash, NOW + 10).await, None);
    let won = world.race(async |tx| credentials::redeem_link(tx, &hash, NOW).await).await;
    assert!(matches!(&won, [Some(who), None] | [None, Some(who)] if *who == ada), "{won:?}");
    assert_eq!(redeem(&hash, NOW).await, None);
    // A token is no link, and a newer link ends those before it.
    let (_, token) = mint(&world, &ada, Holder::Cli, None).await;
    assert_eq!(redeem(&token, NOW).await, None);
    let (_, unused) = mint(&world, &ada, Holder::Link, None).await;
    let (_, of_bob) = mint(&world, &bob, Holder::Link, None).await;
    assert_eq!(world.write(async |tx| credentials::revoke_links(tx, &ada, NOW).await).await, 1);
    assert_eq!(redeem(&unused, NOW).await, None);
    assert_eq!(redeem(&of_bob, NOW).await, Some(bob));
    assert!(matches!(caller(&world, &token, NOW).await, Caller::User { .. }));
}

async fn a_revoked_token_is_silent_and_its_sockets_hear_of_it(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let (id, hash) = mint(&world, &ada, Holder::Cli, None).await;
    mint(&world, &ada, Holder::Link, None).await;
    let waker = world.watch(&[Topic::Credential(id.clone())]);
    let list = async |user: &UserId| world.read(async |tx| credentials::list(tx, user).await).await;
    let listed = list(&ada).await;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].kind.as_str(), &listed[0].credential_id), ("cli", &id));
    assert!(!world.write(async |tx| credentials::revoke(tx, &bob, &id, NOW).await).await);
    assert!(waker.take().is_empty());
    assert!(world.write(async |tx| credentials::revoke(tx, &ada, &id, NOW).await).await);
    assert!(!waker.take().is_empty());
    assert!(list(&ada).await.is_empty());
    assert_eq!(caller(&world, &hash, NOW).await, Caller::Public);
}

async fn a_credential_is_revoked_once(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (id, _) = mint(&world, &ada, Holder::Cli, None).await;
    world.race_is_won_once(async |tx| credentials::revoke(tx, &ada, &id, NOW).await).await;
}

async fn who_has_a_credential_is_told_by_machine_and_by_agent(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let room = world.room(&ada).await.chatroom_id;
    let machine = world.machine(&ada).await;
    let agent = world.agent(&ada, &room, "builder", &machine).await;
    let machines = async |user| world.read(async |tx| credentials::list_machines(tx, user).await).await;
    let has_agent = async || world.read(async |tx| credentials::has_agent(tx, &agent).await).await;
    assert!(machines(&ada).await.is_empty() && !has_agent().await);
    mint(&world, &ada, Holder::Machine(machine.clone()), None).await;
    mint(&world, &ada, Holder::Agent(machine.clone(), agent.clone()), None).await;
    assert_eq!(machines(&ada).await, std::slice::from_ref(&machine));
    assert!(machines(&bob).await.is_empty() && has_agent().await);
    world.write(async |tx| credentials::revoke_of_machine(tx, &machine, true, NOW).await).await;
    assert!(machines(&ada).await.is_empty() && !has_agent().await);
}

async fn a_machine_takes_its_agents_with_it_when_told(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    let machine = world.machine(&ada).await;
    let agent = world.agent(&ada, &room, "builder", &machine).await;
    mint(&world, &ada, Holder::Machine(machine.clone()), None).await;
    let (_, hash) = mint(&world, &ada, Holder::Agent(machine.clone(), agent.clone()), None).await;
    let revoke = async |all| world.write(async |tx| credentials::revoke_of_machine(tx, &machine, all, NOW).await).await;
    assert_eq!(revoke(false).await, 1);
    assert!(matches!(caller(&world, &hash, NOW).await, Caller::Agent { .. }));
    assert_eq!(revoke(true).await, 1);
    assert_eq!(caller(&world, &hash, NOW).await, Caller::Public);
    let (_, hash) = mint(&world, &ada, Holder::Agent(machine.clone(), agent.clone()), None).await;
    assert_eq!(world.write(async |tx| credentials::revoke_of_agent(tx, &agent, NOW).await).await, 1);
    assert_eq!(caller(&world, &hash, NOW).await, Caller::Public);
}

async fn last_use_never_goes_back_and_the_dead_are_forgotten(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (id, _) = mint(&world, &ada, Holder::Cli, None).await;
    for at in [NOW + 5, NOW + 2] {
        world.write(async |tx| credentials::set_last_used(tx, &id, at).await).await;
    }
    let listed = world.read(async |tx| credentials::list(tx, &ada).await).await;
    assert_eq!(listed[0].last_used_at, Some(NOW + 5));
    mint(&world, &ada, Holder::Cli, Some(NOW)).await;
    world.write(async |tx| credentials::revoke(tx, &ada, &id, NOW).await).await;
    mint(&world, &ada, Holder::Cli, None).await;
    assert_eq!(world.write(async |tx| credentials::delete_old(tx, NOW + KEPT_MS).await).await, 0);
    assert_eq!(world.write(async |tx| credentials::delete_old(tx, NOW + KEPT_MS + 1).await).await, 2);
}

async fn a_session_token_ends_with_the_session_that_lent_it(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (browser, _) = mint(&world, &ada, Holder::Browser(OpenedBy::Link), None).await;
    let (other, _) = mint(&world, &ada, Holder::Browser(OpenedBy::Link), None).await;
    let (_, lent) = mint(&world, &ada, Holder::Session(browser.clone()), Some(NOW + 10)).await;
    let listed = world.read(async |tx| credentials::list(tx, &ada).await).await;
    assert_eq!(listed.len(), 2, "session tokens are no logins of their own");
    world.write(async |tx| credentials::revoke(tx, &ada, &other, NOW).await).await;
    assert!(matches!(caller(&world, &lent, NOW).await, Caller::User { .. }));
    assert!(world.write(async |tx| credentials::revoke(tx, &ada, &browser, NOW).await).await);
    assert_eq!(caller(&world, &lent, NOW).await, Caller::Public);
    let (_, ended) = mint(&world, &ada, Holder::Session(browser), Some(NOW - 1)).await;
    assert_eq!(caller(&world, &ended, NOW).await, Caller::Public);
    assert_eq!(
        world.write(async |tx| credentials::delete_old(tx, NOW).await).await,
        1,
        "forgotten as soon as it has ended"
    );
}

async fn a_browser_session_tells_how_it_was_opened(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let find = async |id: &CredentialId, at| world.read(async |tx| credentials::find_browser(tx, id, at).await).await;
    for by in [OpenedBy::Link, OpenedBy::Password] {
        let (id, _) = mint(&world, &ada, Holder::Browser(by), Some(NOW + 10)).await;
        assert_eq!(find(&id, NOW + 9).await, Some((by, NOW)));
        assert_eq!(find(&id, NOW + 10).await, None);
        world.write(async |tx| credentials::revoke(tx, &ada, &id, NOW).await).await;
        assert_eq!(find(&id, NOW).await, None);
    }
    let (cli, _) = mint(&world, &ada, Holder::Cli, None).await;
    assert_eq!(find(&cli, NOW).await, None);
}

async fn the_other_browsers_of_a_user_end_at_once(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let browser = Holder::Browser(OpenedBy::Password);
    let (here, of_here) = mint(&world, &ada, browser.clone(), None).await;
    let (other, of_other) = mint(&world, &ada, browser.clone(), None).await;
    let (_, of_bob) = mint(&world, &bob, browser, None).await;
    let (_, cli) = mint(&world, &ada, Holder::Cli, None).await;
    let (_, page_here) = mint(&world, &ada, Holder::Session(here.clone()), Some(NOW + 10)).await;
    let (_, page_other) = mint(&world, &ada, Holder::Session(other.clone()), Some(NOW + 10)).await;
    let waker = world.watch(&[Topic::Credential(other)]);
    let revoke = async || world.write(async |tx| credentials::revoke_other_browsers(tx, &ada, &here, NOW).await).await;
    assert_eq!(revoke().await, 2);
    assert!(!waker.take().is_empty());
    for (hash, speaks) in
        [(of_here, true), (page_here, true), (cli, true), (of_bob, true), (of_other, false), (page_other, false)]
    {
        assert_eq!(caller(&world, &hash, NOW).await != Caller::Public, speaks);
    }
    assert_eq!(revoke().await, 0);
}
