import openapiTS, { astToString } from 'openapi-typescript'
import t from 'tap'
import { startService } from './support/support.ts'

type Item = Record<string, any>

t.test('documents', async (t) => {
  const service = await startService(t)
  const document = await (await service.get('/openapi.json')).json() as Item

  t.test('the OpenAPI document generates a client', async (t) => {
    const source = astToString(await openapiTS(document as Parameters<typeof openapiTS>[0], { silent: true }))
    for (
      const name of [
        'listEvents',
        'searchEvents',
        'describeEvent',
        'streamEvents',
        'AuditEvent',
        'EventPage',
        'SearchPage',
        'Problem',
        'sort_direction'
      ]
    ) t.ok(source.includes(name), name)
  })
})
