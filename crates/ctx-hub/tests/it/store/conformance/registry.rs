//! Registration, tokens, counts, and the end.

use std::collections::BTreeMap;

use ctx_hub::secret::ClientToken;
use ctx_hub::store::Statistics;

use super::super::*;

pub(in crate::store) async fn a_project_is_registered_once_until_its_client_is_revoked(
    mut fresh: Fresh,
) {
    let register = |store: &Arc<dyn Store>| {
        let store = Arc::clone(store);
        async move {
            let token = ClientToken::random().unwrap();
            (
                token.hash(),
                store
                    .register("alpha".parse().unwrap(), token.hash().into())
                    .await,
            )
        }
    };
    let (old_token, first) = register(&fresh.store).await;
    let first = first.unwrap();
    fresh.reopen().await;
    let (refused_token, second) = register(&fresh.store).await;
    assert!(
        matches!(second, Err(StoreError::ProjectExists { project }) if project == first.project)
    );
    assert_eq!(fresh.store.authenticate(refused_token).await.unwrap(), None);

    let revoked = fresh.store.revoke(first.id.clone()).await.unwrap().unwrap();
    assert_eq!(revoked.id, first.id);
    assert!(revoked.revoked_at.is_some());
    assert_eq!(
        fresh.store.revoke(first.id.clone()).await.unwrap(),
        Some(revoked)
    );
    let unknown = ctx_hub::types::ClientId::random().unwrap();
    assert_eq!(fresh.store.revoke(unknown).await.unwrap(), None);

    let (new_token, third) = register(&fresh.store).await;
    let third = third.unwrap();
    fresh.reopen().await;
    assert_eq!(fresh.store.authenticate(old_token).await.unwrap(), None);
    assert_eq!(
        fresh
            .store
            .authenticate(new_token)
            .await
            .unwrap()
            .unwrap()
            .client,
        third
    );
}

pub(in crate::store) async fn only_the_token_of_a_live_client_is_known(fresh: Fresh) {
    let token = ClientToken::random().unwrap();
    let registered = fresh
        .store
        .register("alpha".parse().unwrap(), token.hash().into())
        .await
        .unwrap();
    assert_eq!(
        fresh
            .store
            .authenticate(token.hash())
            .await
            .unwrap()
            .unwrap()
            .client,
        registered
    );
    let other = ClientToken::random().unwrap();
    assert_eq!(fresh.store.authenticate(other.hash()).await.unwrap(), None);
    // One token never stands for two clients.
    let twice = fresh
        .store
        .register("beta".parse().unwrap(), token.hash().into())
        .await;
    assert!(matches!(twice, Err(StoreError::TokenInUse)), "{twice:?}");
    // Asked for again, the registration is answered, and there is one.
    let again = fresh
        .store
        .register("alpha".parse().unwrap(), token.hash().into());
    assert_eq!(again.await.unwrap(), registered);
    assert_eq!(fresh.store.clients().await.unwrap().len(), 1);
    fresh.store.revoke(registered.id).await.unwrap();
    assert_eq!(fresh.store.authenticate(token.hash()).await.unwrap(), None);
    // A token that was ended never comes back to life.
    let again = fresh
        .store
        .register("alpha".parse().unwrap(), token.hash().into());
    assert!(matches!(again.await, Err(StoreError::TokenInUse)));
}

pub(in crate::store) async fn a_revoked_client_stores_nothing(mut fresh: Fresh) {
    let token = ClientToken::random().unwrap();
    let alpha = fresh
        .store
        .register("alpha".parse().unwrap(), token.hash().into())
        .await
        .unwrap();
    let append = |store: &Arc<dyn Store>, text: &str| {
        let (store, batch) = (Arc::clone(store), vec![draft(text, EntryType::Task, "")]);
        let alpha = alpha.clone();
        async move { store.append(&alpha, batch).await }
    };
    append(&fresh.store, "early").await.unwrap();
    fresh.store.revoke(alpha.id.clone()).await.unwrap();
    for _ in 0..2 {
        // An id that is stored already is refused as well: it would tell that it is.
        for text in ["late", "early"] {
            let error = append(&fresh.store, text).await.unwrap_err();
            assert!(
                matches!(&error, StoreError::Revoked { client } if *client == alpha.id),
                "{error:?}"
            );
        }
        fresh.reopen().await;
    }
    assert_eq!(sequences(&everything(&*fresh.store).await), [1]);
}

pub(in crate::store) async fn a_client_stores_no_more_in_a_day_than_it_may_whatever_is_restarted(
    mut fresh: Fresh,
) {
    let (alpha, beta) = (client("alpha"), client("beta"));
    let append = |store: &Arc<dyn Store>, of: &Client, text: &str, day: i64, bytes: u64| {
        let (store, of) = (Arc::clone(store), of.clone());
        let batch = vec![draft(text, EntryType::Task, "")];
        let quota = Quota {
            day,
            bytes,
            most: Some(100),
        };
        async move { store.append_within(&of, batch, quota).await }
    };
    append(&fresh.store, &alpha, "a", 7, 60).await.unwrap();
    for _ in 0..2 {
        let error = append(&fresh.store, &alpha, "b", 7, 41).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::OverQuota { client } if *client == alpha.id),
            "{error:?}"
        );
        fresh.reopen().await;
    }
    // What was refused was not counted, and nobody else was.
    append(&fresh.store, &alpha, "c", 7, 40).await.unwrap();
    append(&fresh.store, &beta, "d", 7, 100).await.unwrap();
    append(&fresh.store, &beta, "e", 8, 100).await.unwrap();
    // A clock that was set back begins a day as well.
    append(&fresh.store, &beta, "f", 7, 100).await.unwrap();
    append(&fresh.store, &beta, "g", 7, 1).await.unwrap_err();
    // Where nothing is counted, nothing is refused.
    fresh
        .store
        .append(&beta, vec![draft("h", EntryType::Task, "")])
        .await
        .unwrap();
    let stored = everything(&*fresh.store).await;
    let ids: Vec<&str> = stored.iter().map(|entry| entry.id.as_str()).collect();
    let expected = ["a", "c", "d", "e", "f", "h"].map(|text| id(text).as_str().to_owned());
    assert_eq!(ids, expected);
}

pub(in crate::store) async fn clients_are_listed_with_their_project_s_entries(fresh: Fresh) {
    let mut clients = Vec::new();
    for project in ["zeta", "alpha", "mid"] {
        let token = ClientToken::random().unwrap();
        clients.push(
            fresh
                .store
                .register(project.parse().unwrap(), token.hash().into())
                .await
                .unwrap(),
        );
    }
    let batch = ["a", "b"]
        .map(|text| draft(text, EntryType::ALL[text.len()], ""))
        .to_vec();
    fresh.store.append(&clients[1], batch).await.unwrap();
    let revoked = fresh
        .store
        .revoke(clients[0].id.clone())
        .await
        .unwrap()
        .unwrap();
    let listed = fresh.store.clients().await.unwrap().into_iter();
    let listed: Vec<_> = listed.map(|one| (one.client, one.entries)).collect();
    assert_eq!(
        listed,
        [
            (revoked, 0),
            (clients[1].clone(), 2),
            (clients[2].clone(), 0)
        ]
    );
}

pub(in crate::store) async fn statistics_equal_a_recount(mut fresh: Fresh) {
    assert_eq!(
        fresh.store.statistics().await.unwrap(),
        Statistics::default()
    );
    let publishers = (0..8).map(|n: usize| {
        let store = Arc::clone(&fresh.store);
        tokio::spawn(async move {
            for m in 0..10 {
                let types = [EntryType::Task, EntryType::Decision, EntryType::Learning];
                let own = draft(&format!("{n}-{m}"), types[m % types.len()], "");
                let shared = draft(&format!("{m}"), types[n % types.len()], "");
                let client = client(&format!("p{}", n % 3));
                store.append(&client, vec![own, shared]).await.unwrap();
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    let token = ClientToken::random().unwrap();
    fresh
        .store
        .register("alpha".parse().unwrap(), token.hash().into())
        .await
        .unwrap();
    let before = fresh.store.statistics().await.unwrap();
    fresh.reopen().await;

    let (mut by_type, mut by_project) = (BTreeMap::new(), BTreeMap::new());
    let entries = everything(&*fresh.store).await;
    for entry in &entries {
        *by_type.entry(entry.entry_type).or_insert(0) += 1;
        *by_project.entry(entry.origin.clone()).or_insert(0) += 1;
    }
    let recount = Statistics {
        head: entries.last().unwrap().sequence,
        total: 90,
        by_type: by_type.into_iter().collect(),
        by_project: by_project.into_iter().collect(),
        live_clients: 1,
    };
    assert_eq!(entries.len(), 90);
    assert_eq!(before, recount);
    assert_eq!(fresh.store.statistics().await.unwrap(), recount);
}

pub(in crate::store) async fn a_closed_store_refuses_everything(fresh: Fresh) {
    let token = ClientToken::random().unwrap().hash();
    let store = &fresh.store;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let entry = vec![draft("late", EntryType::Task, "")];
    let closed = |error: StoreError| assert!(matches!(error, StoreError::Closed), "{error:?}");
    closed(store.append(&client("alpha"), entry).await.unwrap_err());
    closed(store.chain_at(Sequence::new(1)).await.unwrap_err());
    closed(store.page(query(TypeSet::all())).await.unwrap_err());
    closed(
        store
            .register("alpha".parse().unwrap(), token.clone().into())
            .await
            .unwrap_err(),
    );
    closed(store.authenticate(token).await.unwrap_err());
    let other = ClientToken::random().unwrap().hash();
    closed(
        store
            .rotate(other.clone(), other.into(), 0)
            .await
            .unwrap_err(),
    );
    closed(store.note_seen(Vec::new()).await.unwrap_err());
    closed(store.revoke(client("alpha").id).await.unwrap_err());
    closed(store.clients().await.unwrap_err());
    closed(store.statistics().await.unwrap_err());
}
