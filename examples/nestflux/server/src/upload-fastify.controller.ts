import type { MultipartFile } from '@fastify/multipart';
import { BadRequestException, Controller, HttpCode, Post, Req } from '@nestjs/common';

import { describeUpload } from './upload.js';

interface MultipartRequest {
  isMultipart(): boolean;
  file(): Promise<MultipartFile | undefined>;
}

@Controller('upload')
export class FastifyUploadController {
  @Post()
  @HttpCode(200)
  async upload(@Req() request: MultipartRequest) {
    const file = request.isMultipart() ? await request.file() : undefined;
    if (!file) throw new BadRequestException('send one file in the field "file"');
    return describeUpload(file.filename, await file.toBuffer());
  }
}
