import t from 'tap'
import { addCounts, countsIn, failuresIn } from '../../tools/tap-output.ts'

const OUTPUT = `TAP version 14
# Subtest: a cache
    # Subtest: keeps an answer
        ok 1 - should be equal
        not ok 2 - should be equal
          ---
          diff: |
            -1
            +2
          ...
        1..2
    not ok 1 - keeps an answer # time=2ms
    
    ok 2 - drops it
    # Subtest: waits # for nothing
        ok 1 - should be equal
        1..1
    ok 3 - waits # for nothing # time=2ms
    1..3
not ok 1 - a cache # time=3ms

not ok 2 - is not done yet # TODO
# Subtest: a log
    1..0
not ok 3 - a log # time=1ms
  ---
  code: ENOENT
  ...

1..3
# { total: 6, pass: 3, fail: 2, todo: 1 }
# time=10ms
`

t.test('test output: countsIn reads the last comment, and finds none where the file crashed', async (t) => {
  t.same(countsIn(OUTPUT), { passed: 3, failed: 2, skipped: 1 })
  t.same(countsIn('# { total: 4, pass: 2, skip: 2 }\n'), { passed: 2, failed: 0, skipped: 2 })
  t.equal(countsIn('TAP version 14\n'), undefined)
})

t.test('test output: failuresIn names the tests around each failed assertion, once', async (t) => {
  const [cache = '', log = '', ...others] = failuresIn(OUTPUT)
  t.same(others, [])
  t.match(cache, /^a cache > keeps an answer\n {8}not ok 2 - should be equal\n {10}---\n[^]* \+2\n {10}\.\.\.$/)
  t.match(log, /^not ok 3 - a log # time=1ms\n {2}---\n {2}code: ENOENT\n {2}\.\.\.$/)
})

t.test('test output: addCounts sums all files', async (t) => {
  t.same(addCounts([]), { passed: 0, failed: 0, skipped: 0 })
  t.same(addCounts([{ passed: 1, failed: 2, skipped: 3 }, { passed: 10, failed: 20, skipped: 30 }]), {
    passed: 11,
    failed: 22,
    skipped: 33
  })
})
