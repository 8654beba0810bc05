import { BadRequestException, Controller, HttpCode, Post, UploadedFile, UseInterceptors } from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';

import { describeUpload, MAX_UPLOAD_BYTES } from './upload.js';

interface MulterFile {
  originalname: string;
  buffer: Buffer;
}

@Controller('upload')
export class ExpressUploadController {
  @Post()
  @HttpCode(200)
  @UseInterceptors(FileInterceptor('file', { limits: { fileSize: MAX_UPLOAD_BYTES } }))
  upload(@UploadedFile() file?: MulterFile) {
    if (!file) throw new BadRequestException('send one file in the field "file"');
    return describeUpload(file.originalname, file.buffer);
  }
}
