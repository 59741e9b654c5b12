import { scrape, type Figures } from '../support/figures.ts'
import { eventually, type Service } from '../support/support.ts'

/** Scrapes until a series has a value: what a socket has to tell first comes a moment later. */
export async function until (service: Service, series: string, value: number): Promise<Figures> {
  let figures = await scrape(service)
  await eventually(`${series} is ${value}`, async () => {
    figures = await scrape(service)
    return figures.of(series) === value
  })
  return figures
}
