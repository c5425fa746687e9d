import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Rounds } from "./rounds.ts";

/** Makes rounds without a pause among so many connections, in the midst of one. */
async function inRound(connections: number): Promise<Rounds> {
  const rounds = new Rounds(() => connections, 0);
  rounds.plan();
  while (!rounds.isOn) await nextTurn();
  return rounds;
}

/** Has so many reads in this turn, and returns who does not wait any more. */
function read(rounds: Rounds, count: number): Set<number> {
  const done = new Set<number>();
  for (let at = 0; at < count; at++) rounds.wait().then(() => done.add(at));
  return done;
}

describe("Rounds", () => {
  it("let all wait while a turn is full of reads", async () => {
    const rounds = await inRound(1000);
    const first = read(rounds, 128);
    await nextTurn();
    assertEquals(first.size, 0);

    const second = read(rounds, 127);
    await nextTurn();
    assertEquals([first.size, second.size], [128, 127]);
    rounds.stop();
  });

  it("end when every connection had its read", async () => {
    const rounds = await inRound(256);
    const first = read(rounds, 128);
    await nextTurn();
    assertEquals(first.size, 0);

    const second = read(rounds, 128);
    await nextTurn();
    assertEquals([first.size, second.size], [128, 128]);
    rounds.stop();
  });

  it("end when no turn follows one that was full", async () => {
    const rounds = await inRound(1000);
    const done = read(rounds, 127);
    await rounds.wait();
    assertEquals(done.size, 127);
    rounds.stop();
  });

  it("come again", async () => {
    const rounds = await inRound(1000);
    await rounds.wait();
    assertEquals(rounds.isOn, false);
    while (!rounds.isOn) await nextTurn();
    rounds.stop();
  });

  it("are not needed by as many connections as a turn has reads", async () => {
    let connections = 128;
    const rounds = new Rounds(() => connections, 0);
    rounds.plan();
    connections = 129;
    // It was not planned, or this would be after it.
    await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals(rounds.isOn, false);
    rounds.plan();
    while (!rounds.isOn) await nextTurn();
    rounds.stop();
  });

  it("leave nobody waiting when they stop", async () => {
    const rounds = await inRound(1000);
    const waiting = rounds.wait();
    rounds.stop();
    await waiting;
    assertEquals(rounds.isOn, false);
  });
});
