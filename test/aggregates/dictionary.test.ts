import t from 'tap'
import {
  FIRST_CODE,
  LONGEST_VALUE,
  MISSING,
  MOST_DICTIONARY_BYTES,
  MOST_VALUES,
  OTHER,
  createDictionary
} from '../../src/aggregates/dictionary.ts'

t.test('a dictionary gives each text one code, and gives the text back', async (t) => {
  const dictionary = createDictionary()
  t.same(['a', 'b', 'a', '__proto__', '', undefined].map(dictionary.encode), [
    FIRST_CODE, FIRST_CODE + 1, FIRST_CODE, FIRST_CODE + 2, MISSING, MISSING
  ])
  const texts = dictionary.snapshot()
  t.same([texts.textOf(FIRST_CODE), texts.codeOf('b'), texts.codeOf('c'), texts.codeOf('')], [
    'a', FIRST_CODE + 1, undefined, undefined
  ])
  t.same([texts.textOf(MISSING), texts.textOf(OTHER), texts.isCapped], [undefined, undefined, false])
})

t.test('a snapshot of a dictionary does not change', async (t) => {
  const dictionary = createDictionary()
  dictionary.encode('a')
  const texts = dictionary.snapshot()
  dictionary.encode('b')
  dictionary.encode('x'.repeat(LONGEST_VALUE + 1))
  t.same([texts.size, texts.codeOf('b'), texts.textOf(FIRST_CODE + 1), texts.isCapped], [3, undefined, undefined, false])
  t.same([dictionary.snapshot().size, dictionary.snapshot().isCapped], [4, true])
})

t.test('a text of 1 024 code units is held, and a longer one is not', async (t) => {
  const dictionary = createDictionary()
  t.equal(dictionary.encode('é'.repeat(LONGEST_VALUE)), FIRST_CODE)
  t.notOk(dictionary.snapshot().isCapped)
  t.equal(dictionary.encode('é'.repeat(LONGEST_VALUE + 1)), OTHER)
  t.ok(dictionary.snapshot().isCapped)
})

t.test('a dictionary holds 100 000 short texts, and says when there are more', async (t) => {
  const dictionary = createDictionary()
  for (let n = 0; n < MOST_VALUES; n++) dictionary.encode(`0b9f7c1e-6c1d-4d0e-9a64-${n}`)
  t.notOk(dictionary.snapshot().isCapped)
  t.equal(dictionary.encode('one more'), OTHER)
  t.ok(dictionary.snapshot().isCapped)
  t.equal(dictionary.encode('0b9f7c1e-6c1d-4d0e-9a64-7'), FIRST_CODE + 7, 'known texts keep their codes')
})

t.test('a dictionary takes no more bytes than it may, whatever the texts are', async (t) => {
  const dictionary = createDictionary()
  for (let n = 0; n < 20_000; n++) dictionary.encode(`${n}`.padEnd(LONGEST_VALUE, '✅'))
  t.ok(dictionary.snapshot().isCapped)
  t.ok(dictionary.bytes() <= MOST_DICTIONARY_BYTES && dictionary.bytes() > 0.9 * MOST_DICTIONARY_BYTES)
})
