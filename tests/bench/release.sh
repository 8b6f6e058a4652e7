#!/bin/sh
# The same plan by hand: push, wait until the platform has built and aliased the commit, migrate, verify, ask the site.
# CLIENT says how long the platform's own client pauses between two looks:
#   deploy    as `vercel deploy` does: 1 s, from 15 s on 5 s
#   inspect   as `vercel inspect --wait` does: 250 ms
# The rest of its surroundings: CHECKOUT, API, VERCEL_TOKEN, DATABASE, MIGRATE and VERIFY (request bodies, as files),
# SITE, SITE_AUTH_TOKEN. Nothing is looked at before, nothing is put back.
set -eu

api() { curl -fsS -H "Authorization: Bearer $VERCEL_TOKEN" "$API$1"; }

began=$(date +%s)
pause() {
    if [ "$CLIENT" = inspect ]; then sleep 0.25
    elif [ $(($(date +%s) - began)) -lt 15 ]; then sleep 1
    else sleep 5
    fi
}

git -C "$CHECKOUT" push --quiet origin HEAD:main
sha=$(git -C "$CHECKOUT" rev-parse HEAD)

until deployment=$(api "/v6/deployments?sha=$sha&target=production" | grep -o 'dpl_[0-9A-Za-z]*' | sed q | grep .); do
    pause
done
until api "/v13/deployments/$deployment" | grep -q '"aliasAssigned": *true'; do
    pause
done

ask() { curl -fsS -H 'Content-Type: application/json' -H "Authorization: Bearer ${TURSO_AUTH_TOKEN:-}" --data "@$1" "$DATABASE/v3/pipeline"; }
ask "$MIGRATE" | grep -q '"step_errors":\[\(null,\)*null\]'
ask "$VERIFY" | grep -qv '"type":"error"'

for pause in 0.5 0; do
    curl -fsS -o /dev/null -H "Cookie: auth-token=$SITE_AUTH_TOKEN" "$SITE/api/data"
    sleep $pause
done
