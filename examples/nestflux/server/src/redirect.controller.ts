import { Controller, Get, Redirect, Req } from '@nestjs/common';

import type { Request } from './http.js';

@Controller()
export class RedirectController {
  /** The absolute URL an application builds that knows nothing of the proxy's scheme or prefix. */
  @Get('redirect')
  @Redirect()
  absolute(@Req() request: Request) {
    return { url: `http://${request.headers.host}/whoami`, statusCode: 302 };
  }

  @Get('redirect-relative')
  @Redirect('/whoami', 302)
  relative() {}
}
